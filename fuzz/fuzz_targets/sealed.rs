//! The data of a stored session, through services that seal and compress: the first byte says which of them, the second is
//! the data's tag. What opens is bounded, and what a service stored comes back.
#![no_main]

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use session_store::{
    Extensions, KeyRing, Loaded, MemoryStore, Payload, Record, SealRollout, Sealing, SessionKey,
    SessionManager, SessionStore, Ttl, Update, Updated, Values,
};
use tokio::runtime::{Builder, Runtime};

/// The extension that holds a label which is sealed.
const LABEL: u8 = 3;
/// The most bytes in use at once while `bytes` of data are opened and decoded: LZ4 expands by 255 at most.
fn allowed(bytes: usize) -> u64 {
    (8 << 20) + 255 * 128 * bytes as u64
}

struct Stage {
    runtime: Runtime,
    store: Arc<MemoryStore>,
    managers: [SessionManager<Values>; 4],
    cookie: String,
    key: SessionKey,
    /// As its service stored it.
    record: Record,
}

thread_local! {
    static STAGE: OnceCell<Stage> = const { OnceCell::new() };
}

impl Stage {
    fn set() -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let (store, cookies, keys) = (Arc::new(MemoryStore::new()), KeyRing::generate(), KeyRing::generate());
        let builder = || SessionManager::<Values>::builder(Arc::clone(&store), cookies.clone()).compress(64);
        let sealing = || Sealing::new(&keys).expect("keys of our own").labels();
        let managers = [
            builder(),
            builder().seal(sealing()),
            builder().seal(sealing().and_id()),
            builder().seal(sealing().rollout(SealRollout::Require)),
        ]
        .map(|builder| builder.build().expect("the settings agree"));
        let (cookie, key, record) = runtime.block_on(async {
            let request = managers[1].begin(None);
            let session = request.session().await.expect("nothing is asked for yet");
            session.insert("name", "Ada").expect("it has a JSON form");
            session.set_label("a laptop").expect("it is short");
            let cookie = request.finish(200).await.set_cookie.expect("a new session");
            let key = session.key().expect("it is stored");
            let Loaded::Found(record) = store.load(&key).await.expect("it is in memory") else {
                panic!("it is gone")
            };
            (cookie.split(';').next().unwrap_or_default().to_owned(), key, record)
        });
        Self { runtime, store, managers, cookie, key, record }
    }

    /// What a service makes of the session with this change, if it opens it.
    fn opened(&self, service: usize, change: impl FnOnce(&mut Record)) -> Option<Values> {
        self.runtime.block_on(async {
            let loaded = self.store.load(&self.key).await.expect("it is in memory");
            let Loaded::Found(present) = loaded else { panic!("{loaded:?}") };
            let mut record = present.next();
            record.data = self.record.data.clone();
            record.extensions = self.record.extensions.clone();
            change(&mut record);
            let update = Update::new(&self.key, &record, Ttl::new(Duration::from_secs(3600)));
            assert_eq!(self.store.update(update).await.expect("it is in memory"), Updated::Updated);
            let session =
                self.managers[service].begin(Some(&self.cookie)).session().await.expect("nothing fails");
            (!session.is_new()).then(|| session.read(Values::clone))
        })
    }

    fn check(&self, service: usize, tag: u8, bytes: &[u8]) {
        let data = Payload::new(tag, bytes.to_vec());
        let mut opened = None;
        let put = |record: &mut Record| record.data = data.clone();
        let used = allocation_counter::measure(|| opened = self.opened(service, put));
        assert!(used.bytes_max <= allowed(bytes.len()), "{} bytes for {}", used.bytes_max, bytes.len());
        // Nobody who lacks the keys seals anything, or makes plain data pass for it.
        assert!(opened.is_none() || (!data.is_sealed() && service != 3));

        // The same bytes as a label, beside data that opens.
        let length = u16::try_from(bytes.len().min(1000)).expect("it is bounded");
        let label = &bytes[..usize::from(length)];
        let entry = [&[LABEL], &length.to_be_bytes()[..], label].concat();
        if let Ok(extensions) = Extensions::from_bytes(&self.key, &entry) {
            assert_eq!(self.opened(1, |record| record.extensions = extensions), None);
        }
        let own = self.opened(1, |_| ()).expect("it is its own");
        assert_eq!(own.get::<String>("name").as_deref(), Some("Ada"));
    }

    fn check_round_trip(&self, service: usize, text: &str) {
        self.runtime.block_on(async {
            let request = self.managers[service].begin(None);
            request
                .session()
                .await
                .expect("nothing is asked for yet")
                .insert("text", text)
                .expect("it is text");
            let cookie = request.finish(200).await.set_cookie.expect("a new session");
            let again = self.managers[service].begin(Some(cookie.split(';').next().unwrap_or_default()));
            let session = again.session().await.expect("it is in memory");
            assert_eq!(session.get::<String>("text").as_deref(), Some(text));
            session.destroy().await.expect("it is in memory");
        });
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [service, tag, data @ ..] = bytes else { return };
    let service = usize::from(service % 4);
    STAGE.with(|stage| {
        let stage = stage.get_or_init(Stage::set);
        stage.check(service, *tag, data);
        if let Ok(text) = std::str::from_utf8(data) {
            stage.check_round_trip(service, text);
        }
    });
});

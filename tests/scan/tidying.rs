//! Sessions that rest in an old form are written in the present one, and nothing else about them changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_store::{
    Clock as _, Expiry, KeyRing, Loaded, ManualClock, MemoryStore, Record, SealRollout, Sealing, SessionKey,
    SessionManager, SessionManagerBuilder, SessionStore, Tidied, Timestamp, Values,
};

use crate::stage::connect;
use crate::support::redis::{Cluster, Server};

const IDLE: Duration = Duration::from_secs(1000);

type Builder = SessionManagerBuilder<Values>;
type Step = Box<dyn Fn(Builder) -> Builder>;

pub(crate) struct Service {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<ManualClock>,
    cookies: KeyRing,
}

impl Service {
    pub(crate) fn new(store: impl SessionStore) -> Self {
        let now = session_store::SystemClock.now();
        Self { store: Arc::new(store), clock: Arc::new(ManualClock::new(now)), cookies: KeyRing::generate() }
    }

    pub(crate) fn instance(&self, settings: impl FnOnce(Builder) -> Builder) -> SessionManager<Values> {
        let builder = SessionManager::builder(Arc::clone(&self.store), self.cookies.clone())
            .expiry(Expiry::idle(IDLE).absolute(50 * IDLE))
            .max_scan_rate(u32::MAX)
            .clock(Arc::clone(&self.clock));
        settings(builder).build().unwrap()
    }

    async fn stored(&self, key: &SessionKey) -> Record {
        match self.store.load(key).await.unwrap() {
            Loaded::Found(record) => record,
            other => panic!("{other:?}"),
        }
    }
}

/// A visitor's cookie, and the session's key.
pub(crate) async fn visit(manager: &SessionManager<Values>, text: &str) -> (String, SessionKey) {
    let request = manager.begin(None);
    let session = request.session().await.unwrap();
    session.insert("text", text).unwrap();
    session.sign_in("ada", |_| ()).unwrap();
    session.set_label("laptop").unwrap();
    session.save().await.unwrap();
    let key = session.key().unwrap();
    let cookie = request.finish(200).await.set_cookie.unwrap();
    (cookie.split(';').next().unwrap().to_owned(), key)
}

async fn reads(manager: &SessionManager<Values>, cookie: &str) -> Option<String> {
    manager.begin(Some(cookie)).session().await.unwrap().get("text")
}

fn counts(tidied: &Tidied) -> [u64; 5] {
    let Tidied { seen, rewritten, left_for_later, need_the_id, unopened, .. } = *tidied;
    [seen, rewritten, left_for_later, need_the_id, unopened]
}

async fn forms_change_and_nothing_else(store: impl SessionStore) {
    let service = Service::new(store);
    let (old, new) = (KeyRing::generate(), KeyRing::generate());
    let sealing = |keys: &KeyRing| Sealing::new(keys).unwrap();
    let plain = service.instance(|builder| builder);
    let text = "tea ".repeat(500);
    let (cookie, key) = visit(&plain, &text).await;
    let before = service.stored(&key).await;
    assert!(!before.data.is_sealed());

    let (both, first, second) = (old.clone(), old.clone(), new.clone());
    let steps: [(&str, Step, [bool; 2]); 4] = [
        ("compressed", Box::new(|it| it.compress(100)), [false, true]),
        ("sealed", Box::new(move |it| it.compress(100).seal(sealing(&first).labels())), [true, true]),
        (
            "unpacked",
            Box::new(move |it| it.seal(sealing(&both).rollout(SealRollout::Require))),
            [true, false],
        ),
        (
            "open again",
            Box::new(move |it| it.seal(sealing(&old).rollout(SealRollout::Accept))),
            [false, false],
        ),
    ];
    for (name, settings, [sealed, compressed]) in &steps {
        let manager = service.instance(settings);
        assert_eq!(counts(&manager.tidy().dry_run().await.unwrap()), [1, 1, 0, 0, 0], "{name}");
        assert_eq!(counts(&manager.tidy().await.unwrap()), [1, 1, 0, 0, 0], "{name}");
        assert_eq!(counts(&manager.tidy().await.unwrap()), [1, 0, 0, 0, 0], "{name}: once is enough");
        let stored = service.stored(&key).await;
        assert_eq!((stored.data.is_sealed(), stored.data.is_compressed()), (*sealed, *compressed), "{name}");
        assert_eq!(
            (stored.expires_at, stored.created_at, stored.absolute_deadline, &stored.owner),
            (before.expires_at, before.created_at, before.absolute_deadline, &before.owner),
            "{name}"
        );
        assert_eq!(reads(&manager, &cookie).await.as_ref(), Some(&text), "{name}");
        assert_eq!(manager.sessions_of("ada").await.unwrap()[0].label.as_ref().unwrap().as_str(), "laptop");
    }
    // A key that is to retire.
    let rotated = KeyRing::generate();
    let sealed = service.instance(|it| it.seal(sealing(&second)));
    sealed.tidy().await.unwrap();
    let other = service.instance(|it| it.seal(sealing(&rotated)));
    assert_eq!(counts(&other.tidy().await.unwrap()), [1, 0, 0, 0, 1], "no key of it opens this");
    assert_eq!(reads(&sealed, &cookie).await, Some(text), "and it was left alone");
}

#[tokio::test]
async fn forms_change_and_nothing_else_in_memory() {
    forms_change_and_nothing_else(MemoryStore::new()).await;
}

#[tokio::test]
async fn forms_change_and_nothing_else_in_redis() {
    let server = Server::start().await;
    forms_change_and_nothing_else(connect(server.url()).await).await;
}

#[tokio::test]
async fn forms_change_and_nothing_else_in_a_cluster() {
    let cluster = Cluster::start().await;
    forms_change_and_nothing_else(connect(cluster.url()).await).await;
}

#[tokio::test]
async fn the_visitors_id_is_needed_where_it_seals() {
    let service = Service::new(MemoryStore::new());
    let keys = KeyRing::generate();
    let by_id = service.instance(|it| it.seal(Sealing::new(&keys).unwrap().and_id()));
    let without = service.instance(|it| it.seal(Sealing::new(&keys).unwrap()));
    let (sealed_by_id, _) = visit(&by_id, "a").await;
    let (sealed, _) = visit(&without, "b").await;
    // The one can't be opened, the other can't be sealed.
    assert_eq!(counts(&without.tidy().await.unwrap()), [2, 0, 0, 1, 0]);
    assert_eq!(counts(&by_id.tidy().await.unwrap()), [2, 0, 0, 1, 0]);
    for manager in [&by_id, &without] {
        assert_eq!(reads(manager, &sealed_by_id).await.as_deref(), Some("a"));
        assert_eq!(reads(manager, &sealed).await.as_deref(), Some("b"));
    }
}

#[tokio::test]
async fn a_session_that_may_be_extended_meanwhile_waits() {
    let service = Service::new(MemoryStore::new());
    let plain = service.instance(|builder| builder);
    let (cookie, key) = visit(&plain, "a").await;
    let sealed = service.instance(|it| it.seal(Sealing::new(&KeyRing::generate()).unwrap()));
    service.clock.advance(IDLE * 3 / 4);
    assert_eq!(counts(&sealed.tidy().await.unwrap()), [1, 0, 1, 0, 0]);
    let end: Timestamp = service.stored(&key).await.expires_at;
    // A visit extends it.
    let request = plain.begin(Some(&cookie));
    drop(request.session().await.unwrap());
    assert!(request.finish(200).await.failure.is_none());
    assert!(service.stored(&key).await.expires_at > end);
    assert_eq!(counts(&sealed.tidy().await.unwrap()), [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn it_goes_on_where_it_stopped_and_tells_how_far_it_is() {
    let server = Server::start().await;
    let service = Service::new(connect(server.url()).await);
    let plain = service.instance(|builder| builder);
    for number in 0..300 {
        visit(&plain, &number.to_string()).await;
    }
    let sealed = service.instance(|it| it.seal(Sealing::new(&KeyRing::generate()).unwrap()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let all = sealed.tidy().dry_run().page_size(50).on_progress(move |so_far| {
        listener.lock().unwrap().push(so_far.clone());
    });
    let all = all.await.unwrap();
    assert!(all.rewritten >= 300 && all.next.is_none() && all.share > 0.999, "{all:?}");
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert!(told.len() > 3 && told.windows(2).all(|two| two[0].share <= two[1].share), "{told:?}");
    // From the middle on.
    let middle = told.iter().find(|so_far| so_far.rewritten >= 100).unwrap();
    let rest = sealed.tidy().page_size(50).resume(middle.next.clone().unwrap()).await.unwrap();
    assert!(rest.rewritten > 0 && rest.rewritten < 300, "{rest:?}");
    assert!(middle.rewritten + rest.rewritten >= 300, "{middle:?} {rest:?}");
    let begin = sealed.tidy().page_size(50).await.unwrap();
    assert_eq!(rest.rewritten + begin.rewritten, 300);
}

/// Visitors write while everything is written again, and nothing of it is lost.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_not_disturbed() {
    let server = Server::start().await;
    let service = Service::new(connect(server.url()).await);
    let plain = service.instance(|builder| builder);
    let keys = KeyRing::generate();
    let reading = service.instance(|it| it.seal(Sealing::new(&keys).unwrap().rollout(SealRollout::Accept)));
    let sealed = service.instance(|it| it.seal(Sealing::new(&keys).unwrap()));
    let (cookie, _) = visit(&plain, "0").await;
    let counting = tokio::spawn(async move {
        for _ in 0..200 {
            let session = reading.begin(Some(&cookie)).session().await.unwrap();
            session
                .update(|data| data.insert("count", data.get::<u32>("count").unwrap_or(0) + 1))
                .await
                .unwrap()
                .unwrap();
        }
        (reading, cookie)
    });
    let mut rewritten = 0;
    while !counting.is_finished() {
        rewritten += sealed.tidy().await.unwrap().rewritten;
    }
    let (reading, cookie) = counting.await.unwrap();
    let session = reading.begin(Some(&cookie)).session().await.unwrap();
    assert_eq!(session.get::<u32>("count"), Some(200));
    assert!(rewritten > 1, "they met {rewritten} times");
}

//! Instances of two versions share their sessions in a rolling deploy: one that keeps something in a record's
//! extensions, and one that does not know it. Either answers a visitor's requests in turn.

#![cfg(all(feature = "memory", feature = "redis", feature = "express"))]

mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_store::owners::OwnerIndex;
use session_store::{
    Created, Error, ExpressLayout, Extensions, FallbackPolicy, FallbackStore, KeyRing, Loaded, MemoryStore,
    Record, RedisLayout, RedisStore, Requirements, Rotation, Scan, SessionCookie, SessionId, SessionKey,
    SessionManager, SessionManagerBuilder, SessionStore, StoreStatus, Touch, Ttl, Update, Updated, Values,
};
use support::redis::{Server, wait_until};

/// The tag of an entry that no version gives a meaning.
const TAG: u8 = 0x7F;

/// The store of the newer version: each write of a session writes the entry anew, and each load finds it as
/// it was written last.
#[derive(Clone, Debug)]
struct Newer {
    store: Arc<dyn SessionStore>,
    written: Arc<Mutex<u16>>,
}

impl Newer {
    fn new(store: Arc<dyn SessionStore>) -> Self {
        Self { store, written: Arc::default() }
    }

    /// The record with an entry of its own, between two that stay as they are. It grows and shrinks.
    fn marked(&self, record: &Record) -> Record {
        let mut written = self.written.lock().unwrap();
        *written += 1;
        let mut record = record.clone();
        let key = SessionId::generate().key();
        record.extensions = Extensions::from_bytes(&key, &Self::entries(*written)).unwrap();
        record
    }

    fn entries(written: u16) -> Vec<u8> {
        let padding = vec![b'x'; usize::from(written % 300)];
        let length = u16::try_from(padding.len() + 2).unwrap().to_be_bytes();
        [&[1, 0, 0, TAG], &length[..], &written.to_be_bytes(), &padding, &[2, 0, 1, 0]].concat()
    }
}

#[async_trait]
impl SessionStore for Newer {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let loaded = self.store.load(key).await?;
        if let Loaded::Found(record) = &loaded {
            let expected = Self::entries(*self.written.lock().unwrap());
            assert_eq!(record.extensions.as_bytes(), expected, "the entry is whole");
        }
        Ok(loaded)
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.store.create(key, &self.marked(record), ttl).await
    }

    async fn update(&self, mut update: Update<'_>) -> Result<Updated, Error> {
        let record = self.marked(update.record);
        update.record = &record;
        self.store.update(update).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.store.touch(touch).await
    }

    async fn rotate(&self, mut rotation: Rotation<'_>) -> Result<Updated, Error> {
        let record = self.marked(rotation.record);
        rotation.record = &record;
        self.store.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.store.delete(key).await
    }

    fn requirements(&self) -> Requirements {
        self.store.requirements()
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        self.store.owners()
    }

    fn scan(&self) -> Option<&dyn Scan> {
        self.store.scan()
    }

    fn status(&self) -> StoreStatus {
        self.store.status()
    }
}

/// A browser, and the two versions that answer it.
struct Site {
    newer: SessionManager<Values>,
    older: SessionManager<Values>,
    cookie: Option<String>,
    count: u32,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Save,
    Touch,
    Renew,
    Update,
}

impl Site {
    async fn new(newer: Newer, keys: &KeyRing, cookie: &SessionCookie) -> Self {
        let older = Arc::clone(&newer.store);
        let mut site = Self {
            newer: manager(Arc::new(newer), keys, cookie),
            older: manager(older, keys, cookie),
            cookie: None,
            count: 0,
        };
        site.take(true, Step::Save).await;
        site
    }

    /// Goes on with another store, as the next rolling deploy does.
    fn deploy(&mut self, newer: Newer, keys: &KeyRing, cookie: &SessionCookie) {
        self.older = manager(Arc::clone(&newer.store), keys, cookie);
        self.newer = manager(Arc::new(newer), keys, cookie);
    }

    /// One request, and a look by the newer version.
    async fn take(&mut self, by_newer: bool, step: Step) {
        let manager = if by_newer { &self.newer } else { &self.older };
        let request = manager.begin(self.cookie.as_deref());
        let session = request.session().await.unwrap_or_else(|error| panic!("{step:?}: {error}"));
        assert_eq!(session.get::<u32>("n"), (self.count > 0).then_some(self.count));
        match step {
            Step::Save => session.insert("n", self.count + 1).unwrap(),
            Step::Update => {
                session.update(|values| values.insert("n", self.count + 1)).await.unwrap().unwrap();
            }
            // The share of the idle time that a touch waits for is none: a moment is enough.
            Step::Touch => std::thread::sleep(Duration::from_millis(2)),
            Step::Renew => session.renew().unwrap(),
        }
        self.count += u32::from(matches!(step, Step::Save | Step::Update));
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{step:?}: {:?}", actions.failure);
        if let Some(header) = actions.set_cookie {
            self.cookie = header.split(';').next().map(str::to_owned);
        }
        let look = self.newer.begin(self.cookie.as_deref());
        assert_eq!(look.session().await.unwrap().get::<u32>("n"), Some(self.count), "{step:?}");
    }

    async fn take_turns(&mut self, steps: usize) {
        let every = [Step::Save, Step::Touch, Step::Renew, Step::Update];
        for round in 0..steps / 2 {
            // Within 16 rounds, each version takes every step after every step of the other.
            self.take(true, every[round % 4]).await;
            self.take(false, every[(round + round / 4) % 4]).await;
        }
        for manager in [&self.newer, &self.older] {
            assert!(manager.counts().touched > 0);
        }
    }
}

fn manager(store: Arc<dyn SessionStore>, keys: &KeyRing, cookie: &SessionCookie) -> SessionManager<Values> {
    builder(store, keys, cookie).build().unwrap()
}

fn builder(
    store: Arc<dyn SessionStore>,
    keys: &KeyRing,
    cookie: &SessionCookie,
) -> SessionManagerBuilder<Values> {
    SessionManager::builder(store, keys.clone()).cookie(cookie.clone()).touch_share(0.0)
}

#[tokio::test]
async fn in_memory() {
    let (keys, cookie) = (KeyRing::generate(), SessionCookie::new());
    let newer = Newer::new(Arc::new(MemoryStore::new()));
    let mut site = Site::new(newer, &keys, &cookie).await;
    site.take_turns(1000).await;
}

/// The newer version seals and compresses, the older one has the keys, and writes plain.
#[cfg(all(feature = "seal", feature = "compress"))]
#[tokio::test]
async fn sealed_by_one_of_them() {
    use session_store::{SealRollout, Sealing};

    let server = Server::start().await;
    let (keys, cookie) = (KeyRing::generate(), SessionCookie::new());
    let redis = RedisStore::builder(server.url()).connect().await.unwrap();
    for store in [Arc::new(MemoryStore::new()) as Arc<dyn SessionStore>, Arc::new(redis)] {
        let newer = Newer::new(store);
        let sealing = || Sealing::new(&keys).unwrap();
        let older = sealing().rollout(SealRollout::Accept);
        let older = builder(Arc::clone(&newer.store), &keys, &cookie).seal(older).build().unwrap();
        let sealed =
            builder(Arc::new(newer.clone()), &keys, &cookie).seal(sealing()).compress(1).build().unwrap();
        let mut site = Site { newer: sealed, older, ..Site::new(newer, &keys, &cookie).await };
        site.take_turns(500).await;
        assert_eq!((site.newer.counts().unopened, site.older.counts().unopened), (0, 0));
    }
}

#[tokio::test]
async fn in_redis_and_from_layout_to_layout() {
    let server = Server::start().await;
    let keys = KeyRing::express("keyboard cat").unwrap();
    let cookie = SessionCookie::new().name("connect.sid").secure(false);
    let layout = || ExpressLayout::new(cookie.clone());
    let layouts = [
        RedisLayout::express(layout()),
        RedisLayout::express_before_move(layout()),
        RedisLayout::move_to_native(layout()),
        RedisLayout::native(),
    ];
    let mut stores: Vec<Arc<dyn SessionStore>> = Vec::new();
    for layout in layouts {
        let store = RedisStore::builder(server.url()).layout(layout).connect().await.unwrap();
        stores.push(Arc::new(store));
    }
    for _ in 0..5 {
        let written = Arc::default();
        let store = |nth: usize| Newer { store: Arc::clone(&stores[nth]), written: Arc::clone(&written) };
        let mut site = Site::new(store(0), &keys, &cookie).await;
        for nth in 0..stores.len() {
            site.deploy(store(nth), &keys, &cookie);
            site.take_turns(50).await;
        }
    }
}

#[tokio::test]
async fn through_outages() {
    let mut server = Server::start().await;
    let (keys, cookie) = (KeyRing::generate(), SessionCookie::new());
    let redis = RedisStore::builder(server.url()).connect().await.unwrap();
    let store = Arc::new(FallbackStore::new(redis, FallbackPolicy::WhileDown));
    for _ in 0..3 {
        server.kill();
        let mut site = Site::new(Newer::new(Arc::clone(&store) as _), &keys, &cookie).await;
        site.take_turns(50).await;
        assert_eq!(store.status().fallback.unwrap().in_memory, 1);
        server.restart().await;
        wait_until("it is in Redis", async || store.status().fallback.unwrap().in_memory == 0).await;
        site.take_turns(50).await;
    }
}

/// What belongs to a sign-in, such as a device's key, must not reach into the next one.
#[tokio::test]
async fn a_sign_in_starts_without_entries() {
    let (keys, cookie) = (KeyRing::generate(), SessionCookie::new());
    let store = Arc::new(MemoryStore::new());
    let site = Site::new(Newer::new(Arc::clone(&store) as _), &keys, &cookie).await;
    let request = site.older.begin(site.cookie.as_deref());
    let session = request.session().await.unwrap();
    session.renew().unwrap();
    session.save().await.unwrap();
    let entries = async || match store.load(&session.key().unwrap()).await.unwrap() {
        Loaded::Found(record) => record.extensions.as_bytes().to_vec(),
        other => panic!("no session: {other:?}"),
    };
    assert_eq!(entries().await, Newer::entries(1), "a renewal keeps them");
    session.sign_in("ada", |_| ()).unwrap();
    session.save().await.unwrap();
    assert_eq!(entries().await, b"");
    assert_eq!(session.get::<u32>("n"), Some(1), "the data stays");
}

/// An instance that does not know an entry which nobody may overlook leaves the session alone.
#[tokio::test]
async fn a_critical_entry_keeps_the_older_version_out() {
    let server = Server::start().await;
    let store = RedisStore::builder(server.url()).connect().await.unwrap();
    let manager = manager(Arc::new(store), &KeyRing::generate(), &SessionCookie::new());
    let request = manager.begin(None);
    request.session().await.unwrap().insert("n", 1).unwrap();
    let header = request.finish(200).await.set_cookie.unwrap();
    let cookie = header.split(';').next();
    let late = manager.begin(cookie);
    let session = late.session().await.unwrap();

    let mut redis = server.client().await;
    let name: Vec<String> = redis::cmd("KEYS").arg("session:*").query_async(&mut redis).await.unwrap();
    let get = async |redis: &mut _| -> Vec<u8> {
        redis::cmd("GET").arg(&name[0]).query_async(redis).await.unwrap()
    };
    let mut bytes = get(&mut redis).await;
    // The flag that announces extensions, another revision, and the block behind an empty owner.
    bytes[1] |= 8;
    bytes[2] ^= 1;
    bytes.splice(52..52, [0, 4, 0xFF, 0, 1, b'x']);
    let () =
        redis::cmd("SET").arg(&name[0]).arg(&bytes).arg("KEEPTTL").query_async(&mut redis).await.unwrap();

    let refused = |result: Result<(), Error>| matches!(result, Err(Error::NewerFormat { format: 0xA1, .. }));
    assert!(refused(manager.begin(cookie).session().await.map(drop)), "a load");
    session.insert("n", 2).unwrap();
    assert!(refused(session.save().await), "a save of what was loaded before");
    drop(late.finish(200).await);
    assert_eq!(get(&mut redis).await, bytes, "nothing was overwritten");
    assert_eq!(Error::status(&manager.begin(cookie).session().await.map(drop).unwrap_err()), 503);
}

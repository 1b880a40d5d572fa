//! A manager on a watched store under a manual clock, and browsers that come back with cookies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use session_store::history::HistoryPage;
use session_store::owners::{Entry, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation, Stage};
use session_store::{
    Codec, Created, Cursor, Error, Expiry, History, HistoryBounds, HistoryEntry, KeyRing, Loaded,
    ManualClock, MemoryStore, OwnerHash, Record, RequestSession, ResponseActions, Rotation, Session,
    SessionCookie, SessionData, SessionKey, SessionManager, SessionManagerBuilder, SessionStore, Timestamp,
    Touch, Ttl, Update, Updated,
};
use tokio::sync::watch;

pub(crate) const IDLE: Duration = Duration::from_secs(1000);
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(10_000);
pub(crate) const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
/// Another one, of another version of the service.
pub(crate) const SECOND: &str = "5sUZ8pYH3kqRgwAe1vNTh0xLJd7cWm2bXoFiQyCB";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) visits: u32,
    pub(crate) cart: Vec<String>,
    pub(crate) balance: f64,
}

/// Those that tell the fields of a record apart, and so let them come and go.
pub(crate) fn codecs_that_evolve() -> Vec<Codec> {
    vec![
        Codec::Json,
        #[cfg(feature = "messagepack")]
        Codec::MessagePack,
    ]
}

pub(crate) fn codecs() -> Vec<Codec> {
    let by_place = vec![
        #[cfg(feature = "bincode")]
        Codec::Bincode,
    ];
    [codecs_that_evolve(), by_place].concat()
}

pub(crate) struct World {
    pub(crate) store: Arc<Spy>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) manager: SessionManager<Account>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(
        settings: impl FnOnce(SessionManagerBuilder<Account>) -> SessionManagerBuilder<Account>,
    ) -> Self {
        let store = Arc::new(Spy::default());
        // Not at the end of a step in which the index of owners counts time.
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_050_000)));
        let manager = manager_on(&store, &clock, KeyRing::parse(SECRET).unwrap(), settings);
        Self { store, clock, manager }
    }

    /// Another instance of the service on the same store.
    pub(crate) fn instance(
        &self,
        settings: impl FnOnce(SessionManagerBuilder<Account>) -> SessionManagerBuilder<Account>,
    ) -> SessionManager<Account> {
        self.instance_with(KeyRing::parse(SECRET).unwrap(), settings)
    }

    /// The same, with other keys.
    pub(crate) fn instance_with(
        &self,
        keys: KeyRing,
        settings: impl FnOnce(SessionManagerBuilder<Account>) -> SessionManagerBuilder<Account>,
    ) -> SessionManager<Account> {
        manager_on(&self.store, &self.clock, keys, settings)
    }

    /// Another version of the service, whose session has another type.
    pub(crate) fn version<T: SessionData>(&self, codec: Codec) -> SessionManager<T> {
        manager_on(&self.store, &self.clock, KeyRing::parse(SECRET).unwrap(), |builder| builder.codec(codec))
    }

    /// A browser that has a session with these visits.
    pub(crate) async fn visitor(&self, visits: u32) -> Browser {
        let mut browser = Browser::default();
        browser.visit(&self.manager, |session| session.write(|a| a.visits = visits)).await.unwrap();
        assert!(browser.cookie.is_some());
        self.store.forget_calls();
        browser
    }
}

fn manager_on<T: SessionData>(
    store: &Arc<Spy>,
    clock: &Arc<ManualClock>,
    keys: KeyRing,
    settings: impl FnOnce(SessionManagerBuilder<T>) -> SessionManagerBuilder<T>,
) -> SessionManager<T> {
    let builder = SessionManager::builder(Arc::clone(store), keys)
        .expiry(Expiry::idle(IDLE).absolute(ABSOLUTE))
        .cookie(SessionCookie::new().name("id"))
        .clock(Arc::clone(clock));
    settings(builder).build().unwrap()
}

/// A client that keeps its cookie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
}

impl Browser {
    /// One that holds the cookies of all of these, in this order.
    pub(crate) fn with_cookies_of(browsers: &[&Self]) -> Self {
        let cookies: Vec<_> = browsers.iter().map(|browser| browser.cookie.as_deref().unwrap()).collect();
        Self { cookie: Some(cookies.join("; ")) }
    }

    pub(crate) fn begin<T: SessionData>(&self, manager: &SessionManager<T>) -> RequestSession<T> {
        manager.begin(self.cookie.as_deref())
    }

    /// A whole request with a handler that doesn't wait for anything.
    pub(crate) async fn visit<T: SessionData, R>(
        &mut self,
        manager: &SessionManager<T>,
        handler: impl FnOnce(&Session<T>) -> R,
    ) -> R {
        let request = self.begin(manager);
        let answer = handler(&request.session().await.unwrap());
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        self.receive(&actions);
        answer
    }

    pub(crate) fn receive(&mut self, actions: &ResponseActions) {
        if let Some(header) = &actions.set_cookie {
            let pair = header.split(';').next().unwrap();
            self.cookie = (!header.contains("Max-Age=0")).then(|| pair.to_owned());
        }
    }

    pub(crate) async fn sees<T: SessionData + Clone>(&self, manager: &SessionManager<T>) -> T {
        self.begin(manager).session().await.unwrap().read(T::clone)
    }

    pub(crate) async fn key<T: SessionData>(&self, manager: &SessionManager<T>) -> SessionKey {
        self.begin(manager).session().await.unwrap().key().expect("a stored session")
    }
}

/// A memory store that lists what it was asked for, can be down, and can keep its callers waiting.
#[derive(Debug, Default)]
pub(crate) struct Spy {
    pub(crate) inner: MemoryStore,
    pub(crate) down: AtomicBool,
    /// Has no room for histories.
    pub(crate) is_full: AtomicBool,
    calls: Mutex<Vec<&'static str>>,
    held: watch::Sender<&'static str>,
    fails: Mutex<Option<&'static str>>,
}

impl Spy {
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn forget_calls(&self) {
        self.calls.lock().unwrap().clear();
    }

    pub(crate) fn go_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Keeps calls of this name waiting until `let_go`, and lists calls from now on.
    pub(crate) fn hold(&self, name: &'static str) {
        self.forget_calls();
        self.held.send_replace(name);
    }

    pub(crate) fn let_go(&self) {
        self.held.send_replace("");
    }

    /// The next call of this name that goes through finds the store down.
    pub(crate) fn fails_once(&self, name: &'static str) {
        *self.fails.lock().unwrap() = Some(name);
    }

    /// Waits for a call of this name.
    pub(crate) async fn called(&self, name: &'static str) {
        while !self.calls().contains(&name) {
            tokio::task::yield_now().await;
        }
    }

    /// What is stored under `key`.
    pub(crate) async fn record(&self, key: &SessionKey) -> Option<Record> {
        match self.inner.load(key).await.unwrap() {
            Loaded::Found(record) => Some(record),
            _ => None,
        }
    }

    /// Replaces the stored data behind everybody's back.
    pub(crate) async fn overwrite(&self, key: &SessionKey, change: impl FnOnce(&mut Record)) {
        let before = self.record(key).await.expect("a stored session");
        let mut after = before.next();
        change(&mut after);
        let outcome = self.inner.update(Update::new(key, &after, Ttl::new(IDLE))).await.unwrap();
        assert_eq!(outcome, Updated::Updated);
    }

    async fn call(&self, name: &'static str) -> Result<(), Error> {
        self.calls.lock().unwrap().push(name);
        self.held.subscribe().wait_for(|held| *held != name).await.expect("the sender is here");
        let fails = self.fails.lock().unwrap().take_if(|failing| *failing == name).is_some();
        if fails || self.down.load(Ordering::SeqCst) {
            return Err(Error::unavailable("a test", None));
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for Spy {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.call("load").await?;
        self.inner.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.call("create").await?;
        self.inner.create(key, record, ttl).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.call("update").await?;
        self.inner.update(update).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.call("touch").await?;
        self.inner.touch(touch).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.call("rotate").await?;
        self.inner.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.call("delete").await?;
        self.inner.delete(key).await
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        Some(self)
    }

    fn history(&self) -> Option<&dyn History> {
        Some(self)
    }
}

#[async_trait]
impl History for Spy {
    async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        bounds: HistoryBounds,
    ) -> Result<(), Error> {
        self.call("remember").await?;
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Error::Refused { message: "a test".to_owned() });
        }
        self.inner.record(owner, entry, bounds).await
    }

    async fn list(
        &self,
        owner: OwnerHash,
        bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error> {
        self.call("recall").await?;
        History::list(&self.inner, owner, bounds, now).await
    }

    async fn forget(&self, owner: OwnerHash, now: Timestamp) -> Result<u64, Error> {
        self.call("forget").await?;
        self.inner.forget(owner, now).await
    }

    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error> {
        History::page(&self.inner, cursor, size).await
    }
}

#[async_trait]
impl OwnerIndex for Spy {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        self.call(match entering.stage {
            Stage::Before => "enter",
            Stage::After => "confirm",
            _ => "extend",
        })
        .await?;
        self.inner.insert(owner, entering).await
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        self.call("list").await?;
        OwnerIndex::list(&self.inner, owner, after).await
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        self.call("revoked").await?;
        self.inner.revoked(owner).await
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        self.call("revoke").await?;
        self.inner.revoke(owner, which).await
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        self.call("remove").await?;
        OwnerIndex::remove(&self.inner, owner, gone, missing).await
    }
}

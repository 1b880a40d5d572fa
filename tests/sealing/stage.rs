//! Services that seal, their visitors, and those who have got at the store.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use session_store::{
    Error, Expiry, KeyRing, Loaded, ManualClock, MemoryStore, Record, RedisStore, RequestSession,
    ResponseActions, Sealing, Session, SessionKey, SessionManager, SessionManagerBuilder, SessionStore, Ttl,
    Update, Updated,
};

use crate::support::redis::Server;

const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
pub(crate) const SEAL: &str = "XwZ8Vt4u1oJ0q9sYpQmC3rLhBdKfGnTe5iAxUy7E";
pub(crate) const NEWER_SEAL: &str = "5sUZ8pYH3kqRgwAe1vNTh0xLJd7cWm2bXoFiQyCB";
pub(crate) const IDLE: Duration = Duration::from_secs(1000);

pub(crate) type Manager = SessionManager<Account>;
pub(crate) type Store = Arc<dyn SessionStore>;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) visits: u32,
    pub(crate) cart: Vec<String>,
}

impl Account {
    pub(crate) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

pub(crate) fn sealing() -> Sealing {
    sealing_with(SEAL)
}

/// Seals with the first of these keys.
pub(crate) fn sealing_with(keys: &str) -> Sealing {
    Sealing::new(&KeyRing::parse(keys).unwrap()).unwrap()
}

/// An instance of the service, which seals as this says, if at all.
pub(crate) fn instance(store: &Store, sealing: impl Into<Option<Sealing>>) -> Manager {
    instance_with(store, sealing, |builder| builder)
}

pub(crate) fn instance_with(
    store: &Store,
    sealing: impl Into<Option<Sealing>>,
    settings: impl FnOnce(SessionManagerBuilder<Account>) -> SessionManagerBuilder<Account>,
) -> Manager {
    let mut builder = SessionManager::builder(Arc::clone(store), KeyRing::parse(SECRET).unwrap())
        .expiry(Expiry::idle(IDLE))
        .clock(Arc::new(ManualClock::default()));
    if let Some(sealing) = sealing.into() {
        builder = builder.seal(sealing);
    }
    settings(builder).build().unwrap()
}

pub(crate) fn in_memory() -> Store {
    Arc::new(MemoryStore::new())
}

pub(crate) async fn in_redis(server: &Server) -> Store {
    redis_at(&server.url()).await
}

pub(crate) async fn redis_at(url: &str) -> Store {
    // A loaded machine must not pass for a silent server.
    Arc::new(RedisStore::builder(url).timeout(Duration::from_secs(10)).connect().await.unwrap())
}

/// A client that keeps its cookie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    cookie: Option<String>,
}

impl Browser {
    /// One whose session holds this.
    pub(crate) async fn with(manager: &Manager, account: Account) -> Self {
        let mut browser = Self::default();
        browser.visit(manager, |session| session.write(|kept| *kept = account)).await.unwrap();
        browser
    }

    pub(crate) fn begin(&self, manager: &Manager) -> RequestSession<Account> {
        manager.begin(self.cookie.as_deref())
    }

    pub(crate) async fn session(&self, manager: &Manager) -> Session<Account> {
        self.begin(manager).session().await.unwrap()
    }

    /// A whole request, and what its response failed with, if it did.
    pub(crate) async fn visit(
        &mut self,
        manager: &Manager,
        handler: impl FnOnce(&Session<Account>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let request = self.begin(manager);
        handler(&request.session().await?)?;
        let actions = request.finish(200).await;
        self.receive(&actions);
        actions.failure.map_or(Ok(()), Err)
    }

    pub(crate) fn receive(&mut self, actions: &ResponseActions) {
        if let Some(header) = &actions.set_cookie {
            self.cookie = header.split(';').next().map(str::to_owned);
        }
    }

    /// What its session holds; `None` if it has none.
    pub(crate) async fn sees(&self, manager: &Manager) -> Option<Account> {
        let session = self.session(manager).await;
        (!session.is_new()).then(|| session.read(Account::clone))
    }

    pub(crate) async fn key(&self, manager: &Manager) -> SessionKey {
        self.session(manager).await.key().expect("a stored session")
    }
}

/// What is stored under a key, as a thief finds it.
pub(crate) async fn stored(store: &Store, key: &SessionKey) -> Record {
    match store.load(key).await.unwrap() {
        Loaded::Found(record) => record,
        other => panic!("{other:?}"),
    }
}

/// Changes what is stored, behind everybody's back.
pub(crate) async fn tamper(store: &Store, key: &SessionKey, change: impl FnOnce(&mut Record)) {
    let mut record = stored(store, key).await.next();
    change(&mut record);
    let update = store.update(Update::new(key, &record, Ttl::new(IDLE))).await.unwrap();
    assert_eq!(update, Updated::Updated);
}

//! Services, their visitors, and those who wait for their sessions' end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use session_store::{
    Ended, Error, KeyRing, NearCache, RedisStore, Session, SessionId, SessionKey, SessionManager,
    SessionManagerBuilder, SessionStore, Values,
};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::redis::wait_until;

pub(crate) const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
/// Within so long everything is known that the store's servers can tell.
pub(crate) const BOUND: Duration = Duration::from_secs(5);
/// The bound of the near caches.
pub(crate) const NEAR_BOUND: Duration = Duration::from_secs(1);
/// A push takes less than a millisecond; this is for a machine that is busy, and less than the bound.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(3);
/// A connection that was to be made has been made by then.
pub(crate) const SETTLED: Duration = Duration::from_millis(400);

pub(crate) type Manager = SessionManager<Values>;
pub(crate) type Waiting = JoinHandle<Result<Ended, Error>>;

pub(crate) fn builder(store: impl SessionStore) -> SessionManagerBuilder<Values> {
    SessionManager::builder(store, KeyRing::parse(SECRET).unwrap())
}

pub(crate) fn manager(store: impl SessionStore) -> Manager {
    builder(store).build().unwrap()
}

pub(crate) async fn connected(url: &str) -> Arc<RedisStore> {
    Arc::new(RedisStore::connect(url).await.unwrap())
}

pub(crate) fn near_cache() -> NearCache {
    NearCache::new(16 * 1024 * 1024).bound(NEAR_BOUND)
}

/// A store that has copies, and uses them from now on.
pub(crate) async fn copied(url: &str) -> Arc<RedisStore> {
    let store = Arc::new(RedisStore::builder(url).near_cache(near_cache()).connect().await.unwrap());
    until_trusted(&manager(Arc::clone(&store))).await;
    store
}

pub(crate) async fn until_trusted(manager: &Manager) {
    wait_until("copies are used", || async {
        // Who looks for a session has the store connect to what tells of changes.
        let _nothing = manager.ended(&SessionId::generate().key()).await;
        manager.status().near_cache.is_some_and(|near_cache| near_cache.trusted)
    })
    .await;
}

/// Two instances of a service.
pub(crate) async fn instances(url: &str) -> (Manager, Manager) {
    (manager(connected(url).await), manager(connected(url).await))
}

/// A visitor with a session, and the cookie that brings it.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) key: SessionKey,
    pub(crate) cookie: String,
}

impl Visitor {
    pub(crate) async fn of(manager: &Manager) -> Self {
        Self::with(manager, async |session| {
            session.write(|values| values.insert("name", "Ada")).unwrap().unwrap();
        })
        .await
    }

    pub(crate) async fn signed_in(manager: &Manager, owner: &str) -> Self {
        Self::with(manager, async |session| session.sign_in(owner, |_| ()).unwrap()).await
    }

    async fn with(manager: &Manager, handler: impl AsyncFnOnce(&Session<Values>)) -> Self {
        let mut visitor = Self { key: SessionId::generate().key(), cookie: String::new() };
        visitor.asks(manager, handler).await;
        visitor
    }

    /// A request of the visitor, whose session may have another id afterwards.
    pub(crate) async fn asks(&mut self, manager: &Manager, handler: impl AsyncFnOnce(&Session<Values>)) {
        let request = manager.begin(Some(&self.cookie));
        let session = request.session().await.unwrap();
        handler(&session).await;
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        if let Some(set_cookie) = actions.set_cookie {
            set_cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        if let Some(key) = session.key() {
            self.key = key;
        }
    }
}

/// Waits for the session's end in a task, which has begun to when this returns.
pub(crate) async fn waiting(manager: &Manager, key: &SessionKey) -> Waiting {
    let (manager, key) = (manager.clone(), key.clone());
    let waiting = tokio::spawn(async move { manager.ended(&key).await });
    tokio::time::sleep(SETTLED).await;
    waiting
}

/// How long it took until the end was known.
pub(crate) async fn end_of(waiting: Waiting, within: Duration) -> (Ended, Duration) {
    let begun = Instant::now();
    let ended = timeout(within, waiting).await.expect("the end is known in time").unwrap().unwrap();
    (ended, begun.elapsed())
}

pub(crate) async fn assert_goes_on(waiting: &mut Waiting) {
    assert!(timeout(SETTLED, waiting).await.is_err(), "the session is not over");
}

/// How many connections the server has that are told of changes.
pub(crate) async fn trackers(client: &mut MultiplexedConnection) -> usize {
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(client).await.unwrap();
    // `t` for tracking, `B` for its broadcasting mode.
    let is_tracking =
        |line: &str| line.split(' ').any(|field| field.starts_with("flags=") && field.contains('B'));
    list.lines().filter(|line| is_tracking(line)).count()
}

pub(crate) async fn wait_for_trackers(client: &MultiplexedConnection, count: usize) {
    wait_until("the connections that are told of changes are as expected", || async {
        trackers(&mut client.clone()).await == count
    })
    .await;
}

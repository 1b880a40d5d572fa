//! Tenants of one service, and their visitors.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use session_store::{
    Evict, KeyRing, NearCache, RedisStore, Session, SessionKey, SessionManager, SessionManagerBuilder, Values,
};

const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
/// A push takes less than a millisecond; this is for a machine that is busy.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(3);

pub(crate) type Manager = SessionManager<Values>;

/// Some begin like others, and some would match others as patterns.
pub(crate) const PREFIXES: [&str; 10] =
    ["a:", "a:b:", "a:b:c:", "a", "tenant:acme:", "tenant:", "owner:", "a:owner:", "a*:", ""];

pub(crate) fn near_cache() -> NearCache {
    NearCache::new(16 * 1024 * 1024).bound(Duration::from_secs(1))
}

pub(crate) async fn connect(url: impl AsRef<str>) -> RedisStore {
    // Patient, as the machine does much else.
    RedisStore::builder(url).timeout(Duration::from_secs(2)).connect().await.expect("the servers answer")
}

/// All have the same keys, and a cookie of the same name.
pub(crate) fn builder(store: &Arc<RedisStore>) -> SessionManagerBuilder<Values> {
    SessionManager::builder(Arc::clone(store), KeyRing::parse(SECRET).unwrap())
        .max_scan_rate(u32::MAX)
        .max_sessions_per_owner(2, Evict::Oldest)
}

pub(crate) fn tenants<'p>(
    store: &RedisStore,
    prefixes: impl IntoIterator<Item = &'p str>,
) -> Vec<(Arc<RedisStore>, Manager)> {
    let tenant = |prefix| {
        let store = Arc::new(store.with_prefix(prefix).unwrap());
        let manager = builder(&store).build().unwrap();
        (store, manager)
    };
    prefixes.into_iter().map(tenant).collect()
}

/// A visitor with a session, and the cookie that brings it.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) key: SessionKey,
    pub(crate) cookie: String,
}

impl Visitor {
    pub(crate) async fn of(manager: &Manager) -> Self {
        Self::with(manager, |session| session.write(|values| values.insert("name", "Ada")).unwrap().unwrap())
            .await
    }

    pub(crate) async fn signed_in(manager: &Manager, owner: &str) -> Self {
        Self::with(manager, |session| session.sign_in(owner, |_| ()).unwrap()).await
    }

    async fn with(manager: &Manager, handler: impl FnOnce(&Session<Values>)) -> Self {
        let request = manager.begin(None);
        let session = request.session().await.unwrap();
        handler(&session);
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        let cookie = actions.set_cookie.unwrap().split(';').next().unwrap().to_owned();
        Self { key: session.key().unwrap(), cookie }
    }

    /// Whether there is a session for the visitor's cookie.
    pub(crate) async fn is_known(&self, manager: &Manager) -> bool {
        !manager.begin(Some(&self.cookie)).session().await.unwrap().is_new()
    }
}

/// The connections of clients to a server, but for this one; and those of them on which it tells of changes.
pub(crate) async fn connections(client: &MultiplexedConnection) -> (usize, usize) {
    let mut client = client.clone();
    let clients: String =
        redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("NORMAL").query_async(&mut client).await.unwrap();
    let flags =
        |line: &str| line.split(' ').find_map(|field| field.strip_prefix("flags=").map(str::to_owned));
    let trackers = clients.lines().filter_map(flags).filter(|flags| flags.contains('B')).count();
    (clients.lines().count() - 1, trackers)
}

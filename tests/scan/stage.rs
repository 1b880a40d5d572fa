//! Many sessions, and ways to go through them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use session_store::{
    Clock as _, Created, Cursor, Error, KeyRing, Page, Payload, Record, RedisStore, SessionId, SessionKey,
    SessionManager, SessionStore, SystemClock, Ttl, Values,
};
use tokio::task::JoinSet;

pub(crate) fn ttl() -> Ttl {
    Ttl::new(Duration::from_secs(3600))
}

pub(crate) fn record() -> Record {
    let now = SystemClock.now();
    Record::new(now, now.saturating_add(Duration::from_secs(3600)), Payload::new(1, r#"{"cart":[]}"#))
}

pub(crate) async fn connect(url: impl AsRef<str>) -> Arc<RedisStore> {
    // Patient, as the machine does much else.
    let builder = RedisStore::builder(url).timeout(Duration::from_secs(2));
    Arc::new(builder.connect().await.expect("the servers answer"))
}

pub(crate) async fn with_prefix(url: &str, prefix: &str) -> Arc<RedisStore> {
    Arc::new(RedisStore::builder(url).prefix(prefix).connect().await.expect("the server answers"))
}

pub(crate) fn manager(store: &Arc<RedisStore>) -> SessionManager<Values> {
    let builder = SessionManager::builder(Arc::clone(store), KeyRing::generate());
    builder.max_scan_rate(u32::MAX).build().unwrap()
}

/// So many new sessions.
pub(crate) async fn fill(store: &Arc<RedisStore>, count: usize) -> HashSet<SessionKey> {
    store_all(store, (0..count).map(|_| SessionId::generate().key()).collect()).await
}

pub(crate) async fn store_all(store: &Arc<RedisStore>, keys: HashSet<SessionKey>) -> HashSet<SessionKey> {
    let mut creating = JoinSet::new();
    for part in keys.iter().cloned().collect::<Vec<_>>().chunks(keys.len().div_ceil(32).max(1)) {
        let (store, part) = (Arc::clone(store), part.to_vec());
        creating.spawn(async move {
            for key in part {
                let created = store.create(&key, &record(), ttl()).await.expect("it can be stored");
                assert_eq!(created, Created::Created);
            }
        });
    }
    creating.join_all().await;
    keys
}

/// A scan that is done page by page.
pub(crate) struct Walk {
    store: Arc<RedisStore>,
    size: usize,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) seen: HashSet<SessionKey>,
    pub(crate) progress: f64,
}

impl Walk {
    pub(crate) fn new(store: &Arc<RedisStore>, size: usize) -> Self {
        Self { store: Arc::clone(store), size, cursor: None, seen: HashSet::new(), progress: 0.0 }
    }

    async fn page(&self) -> Result<Page, Error> {
        let scan = self.store.scan().expect("it has one");
        scan.page(self.cursor.as_ref(), self.size).await
    }

    /// Answers whether it goes on.
    pub(crate) async fn step(&mut self) -> bool {
        self.try_step().await.expect("the servers answer")
    }

    pub(crate) async fn try_step(&mut self) -> Result<bool, Error> {
        let page = self.page().await?;
        self.seen.extend(page.sessions.into_iter().map(|session| session.key));
        self.progress = page.progress;
        self.cursor = page.next;
        Ok(self.cursor.is_some())
    }

    pub(crate) async fn finish(&mut self) {
        while self.step().await {}
    }

    /// Goes on with another store, as another process would.
    pub(crate) fn go_on_with(&mut self, store: &Arc<RedisStore>) {
        self.store = Arc::clone(store);
        self.cursor = self.cursor.as_ref().map(|cursor| Cursor::new(cursor.to_string()));
    }

    pub(crate) fn missed(&self, expected: &HashSet<SessionKey>) -> usize {
        expected.difference(&self.seen).count()
    }
}

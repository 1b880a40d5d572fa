//! A store of whose changes nobody is told, or by another connection than its own.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use session_store::feed::{Copies, CopySource, Watch};
use session_store::{
    Created, Error, Feed, Loaded, OwnerIndex, Record, RedisStore, Rotation, SessionId, SessionKey,
    SessionStore, Touch, Ttl, Update, Updated, async_trait,
};

#[derive(Debug)]
pub(crate) struct ToldBy {
    store: Arc<RedisStore>,
    /// Without one, it is as if nothing ever changed.
    feed: Option<Arc<RedisStore>>,
}

impl ToldBy {
    pub(crate) fn nobody(store: Arc<RedisStore>) -> Self {
        Self { store, feed: None }
    }

    pub(crate) fn another(store: Arc<RedisStore>, feed: Arc<RedisStore>) -> Self {
        Self { store, feed: Some(feed) }
    }
}

#[async_trait]
impl SessionStore for ToldBy {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.store.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.store.create(key, record, ttl).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.store.update(update).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.store.touch(touch).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.store.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.store.delete(key).await
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        self.store.owners()
    }

    fn feed(&self) -> Option<&dyn Feed> {
        Some(self)
    }
}

#[async_trait]
impl Feed for ToldBy {
    fn watch(&self, key: &SessionKey) -> Watch {
        self.store.watch(key)
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        self.store.find(key).await
    }

    fn copies(&self) -> Option<&dyn CopySource> {
        Some(self)
    }
}

#[async_trait]
impl CopySource for ToldBy {
    fn subscribe(&self, copies: Weak<dyn Copies>, bound: Duration) {
        if let Some(feed) = &self.feed {
            feed.subscribe(copies, bound);
            // As a load would, this has it connect.
            drop(feed.watch(&SessionId::generate().key()));
        }
    }

    fn told_until(&self) -> Option<Instant> {
        self.feed.as_ref().map_or_else(|| Some(Instant::now()), |feed| feed.told_until())
    }

    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error> {
        self.store.load_to_copy(key).await
    }
}

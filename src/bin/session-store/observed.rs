//! A store that tells how far a scan is, for calls of the library that scan by themselves.

use std::fmt;
use std::sync::{Arc, Mutex};

use session_store::owners::OwnerIndex;
use session_store::{
    Created, Cursor, Error, Feed, Loaded, Page, Record, RedisStore, Requirements, Rotation, Scan, SessionKey,
    SessionStore, StoreStatus, Touch, Ttl, Update, Updated, Usage, async_trait,
};

type OnPage = Box<dyn FnMut(u64, f64) + Send>;

pub(crate) struct Observed {
    store: Arc<RedisStore>,
    /// How many sessions there were so far, and who is told.
    seen: Mutex<(u64, OnPage)>,
}

impl Observed {
    /// Calls this after each page, with the number of sessions so far, and the share of the whole.
    pub(crate) fn new(store: &Arc<RedisStore>, on_page: impl FnMut(u64, f64) + Send + 'static) -> Self {
        Self { store: Arc::clone(store), seen: Mutex::new((0, Box::new(on_page))) }
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl Scan for Observed {
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error> {
        let page = self.store.page(cursor, size).await?;
        if let Ok(mut seen) = self.seen.lock() {
            let (count, on_page) = &mut *seen;
            *count += page.sessions.len() as u64;
            on_page(*count, page.progress);
        }
        Ok(page)
    }

    async fn usage(&self) -> Result<Usage, Error> {
        self.store.usage().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for Observed {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.store.load(key).await
    }

    async fn load_fresh(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.store.load_fresh(key).await
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

    fn requirements(&self) -> Requirements {
        self.store.requirements()
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        self.store.owners()
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.store.feed()
    }

    fn status(&self) -> StoreStatus {
        self.store.status()
    }
}

//! A near cache: copies of sessions in this process, which the store's [feed](super::feed) keeps right.

mod near_copies;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub(crate) use self::near_copies::NearCopies;
use super::feed::{CopySource, Feed};
use super::history::History;
use super::owner_index::OwnerIndex;
use super::scan::Scan;
use super::status::StoreStatus;
use super::{Created, Loaded, Requirements, Rotation, SessionStore, Touch, Update, Updated};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::ttl::Ttl;

/// Keeps copies of sessions in this process, so that a request whose session was read before asks no server.
///
/// For a `RedisStore` it is an option of the builder; for any store whose [feed](crate::feed) has
/// [`copies`](crate::feed::Feed::copies) it is a wrapper, made by [`around`](Self::around).
///
/// - A copy is used only if the servers have confirmed within the [bound](Self::bound) that it is up to date. **A session
///   that another instance ended or changed is seen as before for that long at most**, and usually for as long as a push
///   of Redis takes: milliseconds. This process sees its own changes at once.
/// - No change is based on a copy alone: each write compares revisions in the store, and is merged or refused there.
/// - If the servers can't tell of changes, sessions are read from them as if there were no copies.
/// - Missing sessions are not cached.
///
/// [`Session::fresh`](crate::Session::fresh) reads past the copies, for actions that must be refused to a session that
/// ended a moment ago. The page `near_cache` of the documentation tells when copies pay.
///
/// ```no_run
/// # #[cfg(feature = "redis")]
/// # async fn example() -> Result<(), session_store::Error> {
/// use session_store::{NearCache, RedisStore};
/// use std::time::Duration;
///
/// let store = RedisStore::builder("redis://127.0.0.1:6379")
///     .near_cache(NearCache::new(64 * 1024 * 1024).bound(Duration::from_secs(1)))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NearCache {
    bytes: usize,
    bound: Duration,
}

impl NearCache {
    /// The default of [`bound`](Self::bound).
    pub const DEFAULT_BOUND: Duration = Duration::from_secs(2);
    const BOUNDS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(30)];
    const LEAST_BYTES: usize = 64 * 1024;

    /// Keeps copies in this many bytes, at least 64 KiB. The least recently used ones are evicted.
    ///
    /// A session counts as the length of its encoded data, its owner's name and its label, plus 600 bytes of overhead.
    /// The first request that reads a copy decodes it, for all later ones, in up to half as many bytes again.
    ///
    /// ```
    /// use session_store::NearCache;
    ///
    /// // Room for about 40,000 sessions of 1 kB.
    /// let copies = NearCache::new(64 * 1024 * 1024);
    /// ```
    pub fn new(bytes: usize) -> Self {
        Self { bytes, bound: Self::DEFAULT_BOUND }
    }

    /// Sets how old a copy may be at most: 100 ms to 30 seconds, [2 seconds](Self::DEFAULT_BOUND) by default.
    ///
    /// A session that another instance has ended may be used for that long in this one, if the connection that tells of
    /// changes breaks at that moment. Each server is asked four times within the bound whether it is still there.
    ///
    /// ```
    /// use session_store::NearCache;
    /// use std::time::Duration;
    ///
    /// // A session that ended elsewhere is used for half a second at most, even if the connection breaks at that moment.
    /// let copies = NearCache::new(64 * 1024 * 1024).bound(Duration::from_millis(500));
    /// ```
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Wraps `store` and keeps copies of its sessions.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the store does not tell of changes; [`Error::Config`] for a bound or a size out of range.
    ///
    /// ```
    /// use session_store::{Error, MemoryStore, NearCache, NearCached, SessionStore};
    ///
    /// fn with_copies<S: SessionStore>(custom_store: S) -> Result<NearCached<S>, Error> {
    ///     NearCache::new(64 * 1024 * 1024).around(custom_store)
    /// }
    /// // A store in this process has no use for copies.
    /// assert!(matches!(with_copies(MemoryStore::new()), Err(Error::Unsupported { .. })));
    /// ```
    pub fn around<S: SessionStore>(self, store: S) -> Result<NearCached<S>, Error> {
        let copies = self.keep_of(source(&store)?)?;
        Ok(NearCached { store, copies })
    }

    /// Copies of what `source` has.
    pub(crate) fn keep_of(self, source: &dyn CopySource) -> Result<Arc<NearCopies>, Error> {
        self.check().map_err(Error::Config)?;
        let copies = Arc::new(NearCopies::new(self.bytes, self.bound));
        source.subscribe(Arc::<NearCopies>::downgrade(&copies), self.bound);
        Ok(copies)
    }

    /// What is wrong with the settings, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let ([least, most], least_bytes) = (Self::BOUNDS, Self::LEAST_BYTES);
        if !(least..=most).contains(&self.bound) {
            return Err(format!(
                "the bound of a near cache must be {least:?} to {most:?}, not {:?}",
                self.bound
            ));
        }
        if self.bytes < least_bytes {
            return Err(format!("a near cache needs at least {least_bytes} bytes, not {}", self.bytes));
        }
        Ok(())
    }
}

fn source(store: &impl SessionStore) -> Result<&dyn CopySource, Error> {
    store.feed().and_then(Feed::copies).ok_or(Error::Unsupported { what: "tell when copies are out of date" })
}

/// The status of a [`NearCache`], from [`StoreStatus::near_cache`](crate::StoreStatus::near_cache). Counts begin when it
/// is built.
///
/// ```
/// use session_store::NearCacheStatus;
///
/// /// Which share of loads needs no server.
/// fn hit_rate(status: &NearCacheStatus) -> f64 {
///     let loads = status.hits + status.misses + status.bypassed;
///     status.hits as f64 / loads.max(1) as f64
/// }
/// # assert_eq!(hit_rate(&NearCacheStatus::default()), 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct NearCacheStatus {
    /// Whether copies are used at present: the servers have confirmed them within the bound.
    pub trusted: bool,
    /// The approximate number of copies.
    pub copies: u64,
    /// The approximate number of bytes that they count as.
    pub bytes: u64,
    /// Loads that a copy answered.
    pub hits: u64,
    /// Loads that asked the store because there was no copy.
    pub misses: u64,
    /// Loads that asked the store because copies could not be trusted.
    pub bypassed: u64,
    /// Copies dropped because their session changed.
    pub invalidated: u64,
    /// Times that all copies were dropped because anything may have changed: when the connections that tell of changes
    /// were replaced, or a database was emptied.
    pub emptied: u64,
}

/// A store with copies of its sessions in this process; made by [`NearCache::around`], which has an example.
///
/// Share it, not the store in it: a write that bypasses the copies is seen only after the store has told of it.
pub struct NearCached<S> {
    store: S,
    copies: Arc<NearCopies>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> SessionStore for NearCached<S> {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.copies.load(source(&self.store)?, key).await
    }

    async fn load_fresh(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.copies.load_fresh(source(&self.store)?, key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.copies.during(key, self.store.create(key, record, ttl)).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.copies.during(update.key, self.store.update(update)).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.copies.during(touch.key, self.store.touch(touch)).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.copies.during(rotation.old, self.store.rotate(rotation)).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.copies.during(key, self.store.delete(key)).await
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            #[cfg(feature = "json")]
            oldest_copy: self.copies.bound(),
            ..self.store.requirements()
        }
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        self.store.owners()
    }

    fn scan(&self) -> Option<&dyn Scan> {
        self.store.scan()
    }

    fn feed(&self) -> Option<&dyn Feed> {
        self.store.feed()
    }

    fn history(&self) -> Option<&dyn History> {
        self.store.history()
    }

    fn status(&self) -> StoreStatus {
        match source(&self.store) {
            Ok(source) => self.copies.add_to(self.store.status(), source),
            Err(_) => self.store.status(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for NearCached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCached").field("store", &self.store).field("copies", &self.copies).finish()
    }
}

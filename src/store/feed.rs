//! Notifications of changes: [`Feed`], a capability that a store may offer.
//!
//! A WebSocket that stays open for hours needs to know when its session ends. Asking the store every second
//! would be wasted load; a store with a feed tells when something happens.
//!
//! A custom store keeps [`Watches`], and tells them of each change after making it:
//!
//! ```
//! use session_store::SessionId;
//! use session_store::feed::Watches;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let watches = Watches::default();
//! let key = SessionId::generate().key();
//! let mut watch = watches.watch(&key);
//! watches.tell(&key);
//! watch.changed().await;
//! # }
//! ```

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::Loaded;

/// Notifies of changes to sessions, so that nobody has to poll.
///
/// ```
/// use session_store::feed::{Feed, Watch, Watches};
/// use session_store::{Error, Record, SessionKey, async_trait};
///
/// #[derive(Debug, Default)]
/// struct MyStore {
///     watches: Watches,
/// }
///
/// #[async_trait]
/// impl Feed for MyStore {
///     fn watch(&self, key: &SessionKey) -> Watch {
///         self.watches.watch(key)
///     }
///
///     async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
///         // Loads `key`, and follows the markers of rotations.
/// #         _ = key;
/// #         Ok(None)
///     }
/// }
/// ```
#[async_trait]
pub trait Feed: fmt::Debug + Send + Sync {
    /// Watches the session under `key` from now on: every change after this returns is told, whichever instance makes
    /// it. A store that loses its connection tells too, once it notices, as something may have changed.
    ///
    /// A session that expires by its time to live may be told late, or not at all.
    fn watch(&self, key: &SessionKey) -> Watch;

    /// Finds the session stored under `key` or, unlike [`load`](crate::SessionStore::load), wherever renewals have moved
    /// it, with the key that it has by now. `None` if it has ended.
    ///
    /// Only for a task that already holds the session, never for a request that comes with an old id: that would give
    /// it the new session.
    ///
    /// # Errors
    ///
    /// Those of a load.
    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error>;

    /// The additional capability that a [near cache](crate::NearCache) needs, if the store has it: without it, copies of
    /// its sessions could not be trusted. Default: `None`.
    fn copies(&self) -> Option<&dyn CopySource> {
        None
    }
}

/// A store that tells when copies of its sessions are out of date, so that a [`NearCache`](crate::NearCache) can keep
/// them.
#[async_trait]
pub trait CopySource: fmt::Debug + Send + Sync {
    /// Tells `copies` of every change from now on, as long as they exist. Changes that cannot be told within `bound` show
    /// in [`told_until`](Self::told_until).
    fn subscribe(&self, copies: Weak<dyn Copies>, bound: Duration);

    /// A moment before which every change has been told to all subscribers, as far as this process knows of the servers
    /// that have the sessions. `None` if changes can't be told at present.
    ///
    /// All copies are right as of this moment. It is read before each use of a copy, so it must not ask a server.
    fn told_until(&self) -> Option<Instant>;

    /// Loads a session as [`load`](crate::SessionStore::load) does, and also returns how long it stays there if nothing
    /// changes, since its expiry may not be told. Never answered from a copy, and no older than any change that was told
    /// before the call.
    ///
    /// # Errors
    ///
    /// Those of a load.
    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error>;
}

/// Copies of sessions that are to be told of changes.
///
/// ```
/// use session_store::SessionId;
/// use session_store::feed::{Copies, Watches};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// /// Counts what a cache would drop.
/// #[derive(Default)]
/// struct Counted(AtomicUsize);
///
/// impl Copies for Counted {
///     fn changed(&self, _key: &session_store::SessionKey) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
///
///     fn all_changed(&self) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
///
/// let (watches, counted) = (Watches::default(), Arc::new(Counted::default()));
/// let copies: Arc<dyn Copies> = counted.clone();
/// watches.subscribe(Arc::downgrade(&copies));
/// watches.tell(&SessionId::generate().key());
/// watches.tell_all();
/// assert_eq!(counted.0.load(Ordering::Relaxed), 2);
/// ```
pub trait Copies: Send + Sync {
    /// The session under `key` has changed.
    fn changed(&self, key: &SessionKey);

    /// Any session may have changed.
    fn all_changed(&self);
}

/// The watchers of a store's sessions, and the copies that are told of changes. Clones share them.
///
/// A custom store keeps one and tells it of each change; [the module](self) has an example.
#[derive(Clone, Default)]
pub struct Watches(Arc<Shared>);

const SHARDS: usize = 16;

#[derive(Default)]
struct Shared {
    shards: [Mutex<Shard>; SHARDS],
    copies: RwLock<Vec<Weak<dyn Copies>>>,
    /// How many keys are watched, and how many have copies of whatever there is. Where it is zero, nobody is told
    /// anything.
    count: AtomicUsize,
}

type Shard = HashSet<ByKey>;

/// A key that is watched.
struct Watched {
    key: SessionKey,
    /// By how many; changed under the lock of the shard alone.
    count: AtomicUsize,
    changes: AtomicU64,
    changed: Notify,
}

/// Found by its key.
struct ByKey(Arc<Watched>);

/// A watch on one session, ended by dropping it; [`changed`](Self::changed) has an example.
#[derive(Debug)]
pub struct Watch {
    /// One for each store that the session may be in.
    sources: Vec<Source>,
}

struct Source {
    watches: Watches,
    watched: Arc<Watched>,
    /// The changes that were told so far.
    seen: u64,
}

impl Watches {
    /// Watches `key` from now on. See the [example](self).
    pub fn watch(&self, key: &SessionKey) -> Watch {
        let watched = {
            let mut shard = self.shard(key);
            let watched = if let Some(ByKey(watched)) = shard.get(key) {
                Arc::clone(watched)
            } else {
                let watched = Arc::new(Watched::new(key.clone()));
                shard.insert(ByKey(Arc::clone(&watched)));
                self.0.count.fetch_add(1, Ordering::Relaxed);
                watched
            };
            watched.count.fetch_add(1, Ordering::Relaxed);
            watched
        };
        // What is read after this sees every change of which nobody was told.
        fence(Ordering::SeqCst);
        let seen = watched.changes.load(Ordering::Acquire);
        Watch { sources: vec![Source { watches: self.clone(), watched, seen }] }
    }

    /// Tells `copies` of every change, as long as they exist. See the example of [`Copies`].
    pub fn subscribe(&self, copies: Weak<dyn Copies>) {
        self.0.copies.write().unwrap_or_else(PoisonError::into_inner).push(copies);
        self.0.count.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Tells that the session under `key` has changed. Call it after the change. See the [example](self).
    pub fn tell(&self, key: &SessionKey) {
        if self.is_empty() {
            return;
        }
        self.tell_copies(|copies| copies.changed(key));
        if let Some(ByKey(watched)) = self.shard(key).get(key) {
            watched.tell();
        }
    }

    /// Tells all watchers that something may have changed: for a store that lost its connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use session_store::{SessionId, feed::Watches};
    /// # let (watches, key) = (Watches::default(), SessionId::generate().key());
    /// let mut watch = watches.watch(&key);
    /// // The connection is there again, and changes since it broke were not told.
    /// watches.tell_all();
    /// watch.changed().await;
    /// # }
    /// ```
    pub fn tell_all(&self) {
        self.tell_copies(|copies| copies.all_changed());
        for shard in &self.0.shards {
            lock(shard).iter().for_each(|ByKey(watched)| watched.tell());
        }
    }

    /// Tells those whose session is not there any more, as `is_there` says.
    #[cfg(feature = "memory")]
    pub(crate) fn tell_missing(&self, is_there: impl Fn(&SessionKey) -> bool) {
        if self.is_empty() {
            return;
        }
        for shard in &self.0.shards {
            let shard = lock(shard);
            let missing = shard.iter().filter(|ByKey(watched)| !is_there(&watched.key));
            missing.for_each(|ByKey(watched)| watched.tell());
        }
    }

    /// Copies come before those who watch: what these read then is no copy from before the change.
    fn tell_copies(&self, tell: impl Fn(&dyn Copies)) {
        let subscribed = self.0.copies.read().unwrap_or_else(PoisonError::into_inner);
        let mut are_all_there = true;
        for copies in &*subscribed {
            match copies.upgrade() {
                Some(copies) => tell(&*copies),
                None => are_all_there = false,
            }
        }
        drop(subscribed);
        if !are_all_there {
            let mut subscribed = self.0.copies.write().unwrap_or_else(PoisonError::into_inner);
            let before = subscribed.len();
            subscribed.retain(|copies| copies.strong_count() > 0);
            self.0.count.fetch_sub(before - subscribed.len(), Ordering::Relaxed);
        }
    }

    /// Whether somebody has copies.
    #[cfg(feature = "redis")]
    pub(crate) fn have_copies(&self) -> bool {
        !self.0.copies.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether there are neither watchers nor copies, so that nothing needs to be told.
    ///
    /// ```
    /// use session_store::{SessionId, feed::Watches};
    ///
    /// let watches = Watches::default();
    /// let watch = watches.watch(&SessionId::generate().key());
    /// assert!(!watches.is_empty());
    /// // Dropping a watch ends it.
    /// drop(watch);
    /// assert!(watches.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        // The change that is to be told comes before the look at who watches.
        fence(Ordering::SeqCst);
        self.0.count.load(Ordering::Relaxed) == 0
    }

    fn shard(&self, key: &SessionKey) -> MutexGuard<'_, Shard> {
        // The end of a digest is as good as a hash.
        let name = key.storage_name().as_bytes();
        lock(&self.0.shards[usize::from(name[name.len() - 1]) % SHARDS])
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    fn new(key: SessionKey) -> Self {
        Self { key, count: AtomicUsize::new(0), changes: AtomicU64::new(0), changed: Notify::new() }
    }

    fn tell(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

impl Watch {
    /// Waits until something has changed, or may have, since the watch began or this last returned. Cancel safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use session_store::{SessionId, feed::Watches};
    /// # let (watches, key) = (Watches::default(), SessionId::generate().key());
    /// # let mut watch = watches.watch(&key);
    /// # watches.tell(&key);
    /// use std::time::Duration;
    ///
    /// // Until something happens, but not past the end of the session.
    /// let session_ends_in = Duration::from_secs(60);
    /// let _in_time = tokio::time::timeout(session_ends_in, watch.changed()).await;
    /// # }
    /// ```
    pub async fn changed(&mut self) {
        if let [only] = &mut *self.sources {
            return only.changed().await;
        }
        let mut changes: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
        for source in &mut self.sources {
            changes.push(Box::pin(source.changed()));
        }
        poll_fn(|cx| {
            let any = changes.iter_mut().any(|change| change.as_mut().poll(cx).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Combines two watches: for a session that may be in either of two stores.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use session_store::{SessionId, feed::Watches};
    /// # let (redis, memory, key) = (Watches::default(), Watches::default(), SessionId::generate().key());
    /// let mut watch = redis.watch(&key).or(memory.watch(&key));
    /// memory.tell(&key);
    /// watch.changed().await;
    /// # }
    /// ```
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.sources.extend(other.sources);
        self
    }
}

impl Source {
    async fn changed(&mut self) {
        loop {
            let mut told = std::pin::pin!(self.watched.changed.notified());
            told.as_mut().enable();
            let changes = self.watched.changes.load(Ordering::Acquire);
            if std::mem::replace(&mut self.seen, changes) != changes {
                return;
            }
            told.await;
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut shard = self.watches.shard(&self.watched.key);
        if self.watched.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            shard.remove(&self.watched.key);
            self.watches.0.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Borrow<SessionKey> for ByKey {
    fn borrow(&self) -> &SessionKey {
        &self.0.key
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").field("keys", &self.0.count).finish()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("key", &self.watched.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

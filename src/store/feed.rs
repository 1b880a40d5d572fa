//! What a store tells of changes by itself: [`Feed`], a capability that a store may offer.
//!
//! A WebSocket that stays open for hours needs to know when its session ends. Asking the store every second
//! is a load for nothing; a store with a feed says so when something happens.
//!
//! A store of one's own keeps [`Watches`], and tells them of each change after it has made it:
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

/// Tells of changes, without being asked again and again.
#[async_trait]
pub trait Feed: fmt::Debug + Send + Sync {
    /// Watches what is stored under `key`, from now on: whatever changes there after this returned is told,
    /// by whichever instance it is made. A store that loses touch with what it watches tells too, once it has found
    /// out: something may have changed.
    ///
    /// What ends by its time to live alone may be told late, or not at all.
    fn watch(&self, key: &SessionKey) -> Watch;

    /// The session that is stored under `key` or, unlike with [`load`](crate::SessionStore::load), where it went from
    /// there by renewals, and the key that it has by now. `None` if it has ended.
    ///
    /// For who holds on to a session that was theirs, and never for a request that comes with an old id: it
    /// would get hold of the new session.
    ///
    /// # Errors
    ///
    /// Those of a load.
    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error>;

    /// What a [near cache](crate::NearCache) needs besides, if the store has that: without it, copies of its sessions
    /// could not be trusted. `None` unless the store says otherwise.
    fn copies(&self) -> Option<&dyn CopySource> {
        None
    }
}

/// A store of whose sessions copies can be kept elsewhere, as it tells when these are out of date.
#[async_trait]
pub trait CopySource: fmt::Debug + Send + Sync {
    /// Tells `copies` of every change from now on, as long as they exist. What cannot be told within `bound` is found out by
    /// [`told_until`](Self::told_until).
    fn subscribe(&self, copies: Weak<dyn Copies>, bound: Duration);

    /// A moment such that all who subscribed were told of every change from before it, as far as this process knows of the
    /// servers that have the sessions. `None` where nobody can be told at present.
    ///
    /// Whatever is kept is right as of this moment. It is asked before each use of a copy, so it asks no server.
    fn told_until(&self) -> Option<Instant>;

    /// As [`load`](crate::SessionStore::load), besides telling for how long what was found stays there if nothing changes:
    /// of its end nobody may be told. It is never answered from a copy, and no older than any change that was told before
    /// it was called.
    ///
    /// # Errors
    ///
    /// Those of a load.
    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error>;
}

/// Copies of sessions, as the store that they come from sees them.
pub trait Copies: Send + Sync {
    /// What is stored under `key` has changed.
    fn changed(&self, key: &SessionKey);

    /// Anything may have changed.
    fn all_changed(&self);
}

/// Who watches which sessions of a store. Clones are the same.
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

/// What watches one session. Dropping it ends that.
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
    /// Watches `key` from now on.
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

    /// Tells `copies` of everything, as long as they exist.
    pub fn subscribe(&self, copies: Weak<dyn Copies>) {
        self.0.copies.write().unwrap_or_else(PoisonError::into_inner).push(copies);
        self.0.count.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Tells that what is stored under `key` has changed. To be called after the change.
    pub fn tell(&self, key: &SessionKey) {
        if self.is_empty() {
            return;
        }
        self.tell_copies(|copies| copies.changed(key));
        if let Some(ByKey(watched)) = self.shard(key).get(key) {
            watched.tell();
        }
    }

    /// Tells everybody that something may have changed.
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

    /// Whether nobody watches anything, or has copies.
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
    /// Waits until something has changed, or may have, since the watch began or this returned last.
    ///
    /// Nothing is lost if it is dropped before it returns.
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

    /// Hears of what `other` hears, too: for a session that may be in either of two stores.
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

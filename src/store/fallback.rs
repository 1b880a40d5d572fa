//! `FallbackStore`: new sessions go to memory while the primary store is away.

mod breaker;
mod fallback_feed;
mod fallback_history;
mod fallback_owner_index;
mod fallback_scan;
mod ledger;
mod moving;
mod recovery;
mod routing;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use self::breaker::Breaker;
use self::ledger::Ledger;
use super::SessionStore;
use super::background::{Background, RuntimeHandle};
use super::memory::MemoryStore;
use crate::clock::Timestamp;

/// Keeps a service going while its primary store, usually a `RedisStore`, is away:
/// if the policy says so, new sessions go to memory meanwhile, and move to the primary when it is back.
///
/// An outage signs nobody out, and brings no ended session back. Users see:
///
/// | | `Never` | `AtStart` | `WhileDown` |
/// |---|---|---|---|
/// | **primary down when the service starts** | | | |
/// | new visitor | 503 | session in memory | session in memory |
/// | visitor with an earlier session | 503, stays signed in | 503, stays signed in | 503, stays signed in |
/// | **primary down later** | | | |
/// | new visitor | 503 | 503 | session in memory |
/// | visitor with a session in the primary | 503, stays signed in | 503, stays signed in | 503, stays signed in |
/// | visitor with a session in memory | – | as always | as always |
/// | logout of a session in the primary | 503; gone after recovery, unusable until then | the same | the same |
/// | logout of a session in memory | – | as always | as always |
/// | **primary back** | | | |
/// | visitor with a session in the primary | as before the outage | as before the outage | as before the outage |
/// | visitor with a session in memory | – | keeps it; it moves | keeps it; it moves |
///
/// "503" is [`Error::Unavailable`](crate::Error::Unavailable), and stands for requests that use their
/// session. A visitor with a cookie is never taken for a new one: that would sign them out.
///
/// # How it works
///
/// - A session is served by the store that it was created in, until it has moved. If memory does not
///   hold it, the primary's answer or error is returned.
/// - Three operations in a row that find the primary unavailable, or one
///   [`create`](SessionStore::create) that certainly did not reach it, send new sessions to memory.
///   A warning is logged then, and another when they go to the primary again.
/// - A background task asks the primary after 50 ms, then ever less often, down to once a second. When
///   it answers, the task makes the owed deletions, and moves the sessions of memory while
///   they are in use. No session of the primary is overwritten. The task runs on the tokio runtime that
///   used the store first, as the primary's connections do, and needs its timer enabled; if that runtime has
///   ended, it runs on the one that uses the store next.
/// - A deletion that can't reach the primary is an error, and is owed (up to 100,000 of
///   them): it is repeated while the process lives, and the session is unavailable until it succeeds.
///   This holds under every policy, and also for a session that is moving from memory to the primary.
/// - In normal operation, an operation costs what it costs in the primary.
///
/// # Limits
///
/// - Memory belongs to this process. Several instances need sticky routing: another instance answers 503 to
///   a visitor whose session is in the memory of this one. Sessions created in an outage, and
///   owed deletions, end with the process.
/// - A full memory evicts the least recently used sessions. A session that it no longer holds, because it was logged
///   out, has expired or was evicted, is 503 while the primary is away.
/// - An owner's sessions can be listed, and all ended, only while the primary answers. A sign-in during an
///   outage counts towards the limit of its owner's sessions once it has moved. It does not move if the
///   owner's sessions were all ended after it, within the same week.
/// - Histories are the primary's: what happens while it is away is recorded when it answers again within a minute, and
///   otherwise lost.
/// - Before each load of a session in memory that has an owner, the primary is asked whether it was ended
///   elsewhere. One that does not answer has no say: the session is served. While Redis is away, each such load has
///   it tried again, at most every 20 ms for all of them, and waits up to 100 ms for that.
/// - A write that timed out may reach a frozen primary late. To make up for that, deletions are repeated for a minute
///   after it answers again; after that minute, a late write may bring a session back.
///
/// # Errors
///
/// Those of the primary, and [`Error::TooLarge`](crate::Error::TooLarge) for a session that is larger
/// than all of the memory.
///
/// ```
/// use session_store::{FallbackPolicy, FallbackStore, MemoryStore, SessionId, SessionStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let redis = MemoryStore::new();
/// let store = FallbackStore::new(redis, FallbackPolicy::WhileDown);
/// store.load(&SessionId::generate().key()).await?;
/// assert!(!store.status().uses_fallback());
/// # Ok(())
/// # }
/// ```
pub struct FallbackStore(Arc<Shared>);

/// When new sessions may go to memory.
///
/// ```
/// use session_store::{FallbackPolicy, FallbackStore, MemoryStore};
///
/// // An environment where only the start order is not guaranteed, such as docker compose.
/// let store = FallbackStore::new(MemoryStore::new(), FallbackPolicy::AtStart);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FallbackPolicy {
    /// Never: while the primary is away, so is every session.
    #[default]
    Never,
    /// Until the primary has answered for the first time, so that a service can start before it.
    AtStart,
    /// Whenever the primary is away.
    WhileDown,
}

/// The status of a [`FallbackStore`], from [`StoreStatus::fallback`](crate::StoreStatus::fallback).
///
/// ```
/// use session_store::{FallbackPolicy, FallbackStore, MemoryStore, SessionStore};
///
/// let store = FallbackStore::new(MemoryStore::new(), FallbackPolicy::AtStart);
/// let fallback = store.status().fallback.expect("it has one");
/// assert_eq!((fallback.open, fallback.in_memory, fallback.owed_deletions), (false, 0, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct FallbackStatus {
    /// Whether new sessions go to memory at present.
    pub open: bool,
    /// When that began.
    pub since: Option<Timestamp>,
    /// Sessions that memory holds at present, counted one by one.
    pub in_memory: u64,
    /// Deletions that the primary has not made yet.
    pub owed_deletions: u64,
    /// Sessions moved from memory to the primary so far.
    pub moved: u64,
    /// Sessions dropped so far instead of being moved, because the primary held another one or a newer version, or
    /// because their owner's sessions were ended meanwhile.
    pub dropped: u64,
    /// Deletions given up so far, because too many were owed.
    pub forgotten_deletions: u64,
}

struct Shared {
    primary: Box<dyn SessionStore>,
    memory: MemoryStore,
    breaker: Breaker,
    /// Whether anything is, or may be, out of the ordinary: memory holds something, something is to be
    /// remembered, or new sessions go to memory. All that an operation looks at while all is well. It
    /// is set and cleared under the ledger's lock.
    engaged: AtomicBool,
    ledger: Mutex<Ledger>,
    /// Recovers, on the runtime of the primary's connections if it has any.
    background: Background,
    /// Done at the first operation.
    settled: Once,
    /// Whether the log has it already that the primary refuses what it missed.
    complained: AtomicBool,
    /// Held while a session is being moved, and by who deletes one that may be it.
    turn: tokio::sync::Mutex<()>,
}

impl FallbackStore {
    /// Wraps `primary`, with a memory of [`MemoryStore::DEFAULT_CAPACITY`] for new sessions while it is away.
    ///
    /// ```no_run
    /// # #[cfg(all(feature = "redis", feature = "json"))]
    /// # async fn example() -> Result<(), session_store::Error> {
    /// use session_store::{FallbackPolicy, FallbackStore, KeyRing, RedisStore, SessionManager, Values};
    ///
    /// // Starts while Redis is down, too.
    /// let redis = RedisStore::builder("redis://127.0.0.1:6379").connect_eventually().await?;
    /// let store = FallbackStore::new(redis, FallbackPolicy::WhileDown);
    /// let keys = KeyRing::parse(&std::env::var("SESSION_SECRET").expect("SESSION_SECRET is set"))?;
    /// let manager = SessionManager::<Values>::builder(store, keys).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(primary: impl SessionStore, policy: FallbackPolicy) -> Self {
        Self::with_memory(primary, policy, MemoryStore::new())
    }

    /// Wraps `primary`, with a memory of another size.
    ///
    /// ```
    /// use session_store::{FallbackPolicy, FallbackStore, MemoryStore, SessionStore};
    ///
    /// # let redis = MemoryStore::new();
    /// // An outage's sign-ins take 16 MiB at most.
    /// let memory = MemoryStore::with_capacity(16 * 1024 * 1024);
    /// let store = FallbackStore::with_memory(redis, FallbackPolicy::WhileDown, memory);
    /// assert_eq!(store.status().fallback.unwrap().in_memory, 0);
    /// ```
    pub fn with_memory(primary: impl SessionStore, policy: FallbackPolicy, memory: MemoryStore) -> Self {
        let home = home_of(&primary);
        // If this is called on a runtime, that is the first one which uses the store.
        home.runtime();
        Self(Arc::new(Shared {
            primary: Box::new(primary),
            memory,
            breaker: Breaker::new(policy),
            engaged: AtomicBool::new(false),
            ledger: Mutex::default(),
            background: Background::new(home),
            settled: Once::new(),
            complained: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
        }))
    }

    fn own_status(&self) -> FallbackStatus {
        let in_memory = self.0.memory.sessions().count() as u64;
        let ledger = self.0.ledger();
        FallbackStatus {
            open: ledger.open.is_some(),
            since: ledger.open.map(|opened| opened.time),
            in_memory,
            owed_deletions: ledger.owed() as u64,
            moved: ledger.moved,
            dropped: ledger.dropped,
            forgotten_deletions: ledger.forgotten,
        }
    }
}

#[cfg(feature = "redis")]
fn home_of(primary: &impl SessionStore) -> RuntimeHandle {
    primary.requirements().home.unwrap_or_default()
}

#[cfg(not(feature = "redis"))]
fn home_of(_: &impl SessionStore) -> RuntimeHandle {
    RuntimeHandle::default()
}

impl fmt::Debug for FallbackStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackStore")
            .field("primary", &self.0.primary)
            .field("policy", &self.0.breaker.policy())
            .field("engaged", &self.0.is_engaged())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn is_engaged(&self) -> bool {
        self.engaged.load(Ordering::Acquire)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger, to write something into it that operations have to know of.
    fn engage(&self) -> MutexGuard<'_, Ledger> {
        let ledger = self.ledger();
        self.engaged.store(true, Ordering::Release);
        ledger
    }
}

//! `FallbackStore`: new sessions go to memory while the primary store is away.

mod breaker;
mod fallback_feed;
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
/// new sessions go to memory meanwhile, if the policy says so, and move to the primary when it is back.
///
/// Nobody is signed out by an outage, and nobody who was logged out comes back by one. What users see:
///
/// | | `Never` | `AtStart` | `WhileDown` |
/// |---|---|---|---|
/// | **primary down when the service starts** | | | |
/// | new visitor | 503 | session in memory | session in memory |
/// | visitor with a session of before | 503, stays signed in | 503, stays signed in | 503, stays signed in |
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
/// session. A visitor who has a cookie is never taken for a new one: that would be signing them out.
///
/// # How it works
///
/// - A session is served by the store that it was born in, until it has moved. Where memory does not
///   hold it, the primary's answer is the answer, and its error the error.
/// - Three operations in a row that find the primary unavailable, or one
///   [`create`](SessionStore::create) that it certainly did not get, send new sessions to memory.
///   One warning says so, and one that they go to the primary again.
/// - A background task asks the primary after 50 ms, then ever less often, down to once a second. When
///   it answers, the task makes the deletions that are owed, and moves the sessions of memory while
///   they are in use. No session of the primary is overwritten. It runs on the tokio runtime that
///   used the store first, as the primary's connections do, and needs its timer enabled; where that has
///   ended, on the one that uses the store next.
/// - A deletion that the primary could not be asked for is an error, and is owed (up to 100,000 of
///   them): it is repeated while the process lives, and the session is unavailable until it succeeds.
///   So it is under every policy, and also for a session of memory that is half-way to the primary.
/// - While all is well, an operation costs what it costs in the primary.
///
/// # Limits
///
/// - Memory is this process's. Several instances need sticky routing: another instance answers 503 to
///   a visitor whose session is in the memory of this one. Sessions that were born in an outage, and
///   deletions that are owed, end with the process.
/// - A full memory forgets the sessions that were not used for the longest time. What it no longer
///   holds, because it was logged out, has expired or was forgotten, is 503 while the primary is away.
/// - An owner's sessions can be listed, and all ended, only while the primary answers. A sign-in of an
///   outage counts towards a limit of its owner's sessions once it has moved. It does not move if the
///   owner's sessions were all ended after it, as long as this is the same week.
/// - A session of an owner that memory holds is served after the primary was asked whether it was ended
///   elsewhere, so from the moment on that Redis answers again. While Redis is away, each such load has it
///   tried again, at most every 20 ms for all of them, and waits up to 100 ms for that.
/// - A write that timed out may reach a frozen primary late. Deletions are repeated for a minute after
///   it answers again to make up for that; later than that a session may come back.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FallbackPolicy {
    /// Not at all: while the primary is away, so is every session.
    #[default]
    Never,
    /// Until the primary has answered for the first time, so that a service can start before it.
    AtStart,
    /// Whenever the primary is away.
    WhileDown,
}

/// How a [`FallbackStore`] is doing: [`StoreStatus::fallback`](crate::StoreStatus::fallback).
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
    /// Since when they do.
    pub since: Option<Timestamp>,
    /// Sessions that memory holds at present, counted one by one.
    pub in_memory: u64,
    /// Deletions that the primary has not made yet.
    pub owed_deletions: u64,
    /// Sessions moved from memory to the primary so far.
    pub moved: u64,
    /// Sessions dropped so far because the primary held another one, or a newer version, when they
    /// were to be moved, or because their owner's sessions were ended meanwhile.
    pub dropped: u64,
    /// Deletions not remembered so far, because too many were owed.
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
    /// `primary`, and a memory of [`MemoryStore::DEFAULT_CAPACITY`] for new sessions while it is away.
    pub fn new(primary: impl SessionStore, policy: FallbackPolicy) -> Self {
        Self::with_memory(primary, policy, MemoryStore::new())
    }

    /// The same with a memory of another size.
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

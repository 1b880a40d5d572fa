//! `MemoryStore`: sessions in this process, bounded in bytes.

use std::convert::Infallible;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use moka::ops::compute::Op;

use self::memory_history::Histories;
use self::memory_owner_index::Owners;
use self::shelves::Shelves;
use super::feed::{Feed, Watches};
use super::history::History;
use super::owner_index::OwnerIndex;
use super::scan::{Cursor, Scan};
use super::status::StoreStatus;
use super::{Created, Loaded, Rotation, SessionStore, Touch, Update, Updated};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, Label, MemoryBudget, Moved, Owner, OwnerHash, Record, Revision};
use crate::ttl::Ttl;

/// What a session takes besides its data, its owner's name and its label: key, record, hash table, LRU queue
/// and timer wheel. Measured with a counting allocator: 585 to 615 bytes.
const OVERHEAD: usize = 600;
/// moka removes what has expired only while the cache is used, or when it is told to.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps sessions in this process's memory: for a service of one instance, for development, for tests.
///
/// Its size is bounded in bytes. A full store first evicts sessions without an owner, least recently used first, so
/// visitors who are not signed in can't push out those who are. Only when sessions with an owner fill 15/16 of the
/// store does it evict these too, in the same order: the last 1/16 is kept for new visitors, so that they can always
/// sign in. A session counts as owned from the moment it is stored with an owner.
///
/// The bound is enforced every 64 writes or 0.3 seconds, whichever comes first, separately for sessions with and
/// without an owner; writes since then come on top of it. Histories take an eighth as many bytes again, at most. Sessions
/// and histories end with the process.
///
/// Share it in an [`Arc`](std::sync::Arc), which is a store too. Each store has a thread that frees expired sessions,
/// even while the store is idle; it ends when the store is dropped.
///
/// # Errors
///
/// [`Error::TooLarge`] for a session that is larger than the whole store, and [`Error::Refused`]
/// for a rotation to a key that is in use. No others.
///
/// ```
/// use session_store::{Loaded, MemoryStore, Payload, Record, SessionId, SessionStore, Timestamp, Ttl};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// let store = MemoryStore::with_capacity(16 * 1024 * 1024);
/// let key = SessionId::generate().key();
/// let data = Payload::new(1, "{}");
/// let record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(60_001), data);
///
/// store.create(&key, &record, Ttl::new(Duration::from_secs(60))).await?;
/// assert_eq!(store.load(&key).await?, Loaded::Found(record));
/// # Ok(())
/// # }
/// ```
pub struct MemoryStore {
    sessions: Arc<Shelves>,
    capacity: usize,
    /// For sessions as their readers decode them.
    room: Arc<MemoryBudget>,
    rotating: Mutex<()>,
    owners: Arc<Owners>,
    histories: Arc<Histories>,
    watches: Watches,
    _ends_the_sweeper: mpsc::Sender<Infallible>,
}

struct Entry {
    held: Envelope,
    ttl: Ttl,
    /// When the time to live is over, for whoever takes the session elsewhere.
    ends: Instant,
    /// Whether it is, or leads to, a session with an owner.
    is_owned: bool,
    weight: usize,
}

impl MemoryStore {
    /// The default capacity in bytes: 64 MiB, about 40,000 sessions of 1 kB.
    pub const DEFAULT_CAPACITY: usize = 64 * 1024 * 1024;

    /// Makes a store of [`DEFAULT_CAPACITY`](Self::DEFAULT_CAPACITY).
    ///
    /// ```
    /// # #[cfg(feature = "json")] {
    /// use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    ///
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # }
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// Makes a store that holds this many bytes of sessions.
    ///
    /// A session counts as the length of its encoded data, its owner's name and its label, plus 600
    /// bytes of overhead. A session that exceeds the capacity on its own is refused; so a
    /// capacity of zero refuses every session.
    ///
    /// Sessions that are read are also kept decoded, for all later requests, in up to half as
    /// many bytes again; when these are used up, each request decodes for itself until others end.
    ///
    /// ```
    /// use session_store::{Error, SessionStore};
    ///
    /// # use session_store::{Clock, MemoryStore, Payload, Record, SessionId, SystemClock, Ttl};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let (id, hour) = (SessionId::generate(), Ttl::new(std::time::Duration::from_secs(3600)));
    /// # let key = id.key();
    /// # let now = SystemClock.now();
    /// # let record = Record::new(now, now.saturating_add(hour.as_duration()), Payload::new(1, "{}"));
    /// // A test of what the application does when a session does not fit.
    /// let store = MemoryStore::with_capacity(1000);
    /// let mut large = record;
    /// large.data = Payload::new(1, vec![b' '; 1000]);
    /// let refused = store.create(&key, &large, hour).await.unwrap_err();
    /// assert!(matches!(refused, Error::TooLarge { limit: 1000, .. }));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_capacity(bytes: usize) -> Self {
        Self::swept_every(SWEEP_INTERVAL, bytes)
    }

    fn swept_every(interval: Duration, capacity: usize) -> Self {
        let sessions = Arc::new(Shelves::new(capacity));
        let (sender, dropped) = mpsc::channel();
        let (swept, owners) = (Arc::clone(&sessions), Arc::new(Owners::default()));
        let histories = Arc::new(Histories::new(capacity));
        let (index, remembered) = (Arc::clone(&owners), Arc::clone(&histories));
        let watches = Watches::default();
        let watched = watches.clone();
        let sweeper = thread::Builder::new().name("session-sweeper".to_owned());
        if let Err(error) =
            sweeper.spawn(move || sweep(&swept, &index, &remembered, &watched, interval, &dropped))
        {
            tracing::warn!(%error, "could not start the thread that frees expired sessions while the store is idle");
        }
        Self {
            sessions,
            capacity,
            room: Arc::new(MemoryBudget::new(capacity / 2)),
            rotating: Mutex::new(()),
            owners,
            histories,
            watches,
            _ends_the_sweeper: sender,
        }
    }

    fn admit(&self, record: &Record, ttl: Ttl) -> Result<Arc<Entry>, Error> {
        let size = weight(record);
        if size > self.capacity {
            return Err(Error::TooLarge { what: "the session in memory", size, limit: self.capacity });
        }
        let record = Record { data: record.data.to_kept(&self.room), ..record.clone() };
        let is_owned = record.owner.is_some();
        Ok(Entry::new(Envelope::Record(record), ttl, is_owned))
    }

    fn put_new(&self, key: &SessionKey, own: Revision, entry: Arc<Entry>) -> Created {
        self.step(key, |found| match found {
            None => (Op::Put(entry), Created::Created),
            Some(held) if held.bears(own) => (Op::Nop, Created::Created),
            Some(_) => (Op::Nop, Created::Taken),
        })
    }

    fn swap(&self, key: &SessionKey, expected: Revision, own: Revision, entry: Arc<Entry>) -> Updated {
        self.step(key, |found| match judge(found, expected, own) {
            ControlFlow::Continue(()) => (Op::Put(entry), Updated::Updated),
            ControlFlow::Break(answer) => (Op::Nop, answer),
        })
    }

    /// Takes away what is under `key`. It does not follow a marker.
    pub(crate) fn remove(&self, key: &SessionKey) -> Option<Envelope> {
        self.step(key, |found| (Op::Remove, found.cloned()))
    }

    /// One atomic step, of which those who watch the key are told if it changed something.
    fn step<A>(&self, key: &SessionKey, decide: impl FnOnce(Option<&Envelope>) -> (Op<Arc<Entry>>, A)) -> A {
        let (changed, answer) = self.sessions.step(key, |found| {
            let (op, answer) = decide(found);
            let changes = matches!(op, Op::Put(_)) || (matches!(op, Op::Remove) && found.is_some());
            (op, (changes, answer))
        });
        if changed {
            self.watches.tell(key);
        }
        answer
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    // moka's own `Debug` prints every entry.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let Some(entry) = self.sessions.get(key) else {
            return Ok(Loaded::Absent);
        };
        Ok(match &entry.held {
            Envelope::Record(record) => Loaded::Found(record.clone()),
            Envelope::Moved(_) => Loaded::Moved,
        })
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.put(key, record, ttl)
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let (Update { key, record, ttl, follow, .. }, expected) = (update, update.expected());
        let (own, entry) = (record.revision, self.admit(record, ttl)?);
        if !follow {
            return Ok(self.swap(key, expected, own, entry));
        }
        Ok(match self.swap(key, expected, own, Arc::clone(&entry)) {
            // The marker never changes; it only goes away, and with a deletion its successor does too.
            Updated::Moved => match self.held(key) {
                Some(Envelope::Moved(marker)) => self.swap(&marker.successor, expected, own, entry),
                _ => Updated::Missing,
            },
            answer => answer,
        })
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let Touch { key, expected, known_end, expires_at, ttl } = touch;
        Ok(self.step(key, |found| match found {
            Some(Envelope::Record(record))
                if record.revision == expected && record.expires_at <= known_end.min(expires_at) =>
            {
                let held = Envelope::Record(Record { expires_at, ..record.clone() });
                (Op::Put(Entry::new(held, ttl, record.owner.is_some())), true)
            }
            _ => (Op::Nop, false),
        }))
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let (Rotation { old, new, record, ttl }, expected) = (rotation, rotation.expected());
        let own = record.revision;
        let entry = self.admit(record, ttl)?;
        let marker = Envelope::Moved(Moved::new(new.clone(), record, expected));
        // Alone among rotations: one that is sent twice must not meet itself half done, and bring
        // back a session that was deleted under its new key meanwhile.
        let _alone = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);

        let found = self.sessions.get(old);
        if let ControlFlow::Break(answer) = judge(found.as_deref().map(|it| &it.held), expected, own) {
            return Ok(answer);
        }
        // The new key comes first: a deletion that finds the marker must find the session behind it.
        if self.put_new(new, own, entry) == Created::Taken {
            return Err(Error::Refused { message: "the new key of a rotation is in use".to_owned() });
        }
        let marker = Entry::new(marker, Moved::ttl(ttl), record.owner.is_some());
        let answer = self.swap(old, expected, own, marker);
        if answer != Updated::Updated {
            self.remove(new);
        }
        Ok(answer)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        let mut removed = self.remove(key);
        let was_there = removed.is_some();
        while let Some(Envelope::Moved(marker)) = removed {
            removed = self.remove(&marker.successor);
        }
        Ok(was_there)
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        Some(self)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        Some(self)
    }

    fn feed(&self) -> Option<&dyn Feed> {
        Some(self)
    }

    fn history(&self) -> Option<&dyn History> {
        Some(self)
    }

    fn status(&self) -> StoreStatus {
        StoreStatus { kind: "memory", ..StoreStatus::default() }
    }
}

/// Whether a write of revision `own` that expects `expected` may go on, or else its answer.
fn judge(found: Option<&Envelope>, expected: Revision, own: Revision) -> ControlFlow<Updated> {
    match found {
        None => ControlFlow::Break(Updated::Missing),
        Some(held) if held.bears(own) => ControlFlow::Break(Updated::Updated),
        Some(Envelope::Moved(_)) => ControlFlow::Break(Updated::Moved),
        Some(Envelope::Record(record)) if record.revision == expected => ControlFlow::Continue(()),
        Some(Envelope::Record(record)) => ControlFlow::Break(Updated::Stale(record.clone())),
    }
}

impl Entry {
    fn new(held: Envelope, ttl: Ttl, is_owned: bool) -> Arc<Self> {
        Arc::new(Self::of(held, ttl, is_owned))
    }

    fn of(held: Envelope, ttl: Ttl, is_owned: bool) -> Self {
        let weight = match &held {
            Envelope::Record(record) => weight(record),
            // Never more than the record whose place it takes, so a marker always fits.
            Envelope::Moved(_) => OVERHEAD,
        };
        Self { held, ttl, ends: Instant::now() + ttl.as_duration(), is_owned, weight }
    }
}

/// How much of a bound a session takes.
pub(super) fn weight(record: &Record) -> usize {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    let (owner, label) = (record.owner.as_ref().map(Owner::as_str), record.label.as_ref().map(Label::as_str));
    OVERHEAD + length(owner) + length(label) + record.extensions.as_bytes().len() + record.data.bytes().len()
}

struct StoredTtl;

impl moka::Expiry<SessionKey, Arc<Entry>> for StoredTtl {
    fn expire_after_create(&self, _: &SessionKey, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.ttl.as_duration())
    }

    fn expire_after_update(
        &self,
        _: &SessionKey,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl.as_duration())
    }
}

/// The owner who was the last one of the page before, as a cursor says that begins with this mark.
fn owner_after(cursor: &Cursor, mark: &str) -> Result<OwnerHash, Error> {
    OwnerHash::parse(cursor.after(mark)?).ok_or_else(Cursor::is_strange)
}

/// Frees what has expired until the store drops the sender.
fn sweep(
    sessions: &Shelves,
    owners: &Owners,
    histories: &Histories,
    watches: &Watches,
    interval: Duration,
    dropped: &mpsc::Receiver<Infallible>,
) {
    while dropped.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
        sessions.settle();
        owners.sweep(|key| sessions.contains(key));
        histories.settle();
        // What was pushed out of a full store, nobody was told of.
        watches.tell_missing(|key| sessions.contains(key));
    }
}

mod memory_feed;
mod memory_history;
mod memory_owner_index;
mod memory_scan;
mod shelves;
mod standby;
#[cfg(test)]
mod tests;

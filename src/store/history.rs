//! What happened to the sessions of each owner: [`History`], a capability that a store may offer.

use std::cmp::Reverse;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::scan::Cursor;

mod entry;

#[cfg(feature = "redis")]
pub(crate) use self::entry::{AT, BEGAN, FIXED_LENGTH};
pub use self::entry::{HistoryEntry, HistoryEvent};

/// Keeps what happened to the sessions of each owner: sign-ins, and what ended them.
///
/// An application turns it on by [`SessionManagerBuilder::history`](crate::SessionManagerBuilder::history), and reads it
/// by [`SessionManager::history_of`](crate::SessionManager::history_of); this trait is for stores. Without a history, a
/// store is as good as with one.
///
/// Each method is one atomic step for one owner, except [`page`](Self::page).
///
/// ```
/// use session_store::{HistoryBounds, HistoryEntry, HistoryEvent};
///
/// # use session_store::{Clock, MemoryStore, Owner, OwnerHash, SessionId, SessionStore, SystemClock};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let store = MemoryStore::new();
/// # let history = store.history().expect("it keeps one");
/// # let (ada, key, now) = (OwnerHash::of(&Owner::new("ada")?), SessionId::generate().key(), SystemClock.now());
/// let (entry, bounds) = (HistoryEntry::new(now, HistoryEvent::SignedIn, key, now), HistoryBounds::default());
/// history.record(ada, &entry, bounds).await?;
/// assert_eq!(history.list(ada, bounds, now).await?, [entry]);
///
/// assert_eq!(history.forget(ada, now).await?, 1);
/// assert!(history.list(ada, bounds, now).await?.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of a [`SessionStore`](crate::SessionStore).
#[async_trait]
pub trait History: Send + Sync {
    /// Adds an entry, unless it was added just now: one that is sent twice counts once. Removes what is then
    /// beyond the bounds. The whole history is gone once nothing was added for [`HistoryBounds::age`].
    async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        bounds: HistoryBounds,
    ) -> Result<(), Error>;

    /// The owner's entries within the bounds at `now`, newest first. Entries that can't be read are left out.
    async fn list(
        &self,
        owner: OwnerHash,
        bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error>;

    /// Erases the owner's history, and answers how many entries it had. Entries that are on their way are not
    /// added any more: for [`ON_ITS_WAY`](crate::owners::Entry::ON_ITS_WAY), those of sessions that began by `now`. The
    /// erasure is durable when this returns, as a logout is.
    async fn forget(&self, owner: OwnerHash, now: Timestamp) -> Result<u64, Error>;

    /// A page of all owners' histories: the first one, or the one at `cursor`. As with a
    /// [`Scan`](crate::Scan::page), about `size` keys are looked at for it, a history that exists throughout is on at
    /// least one page, and may be on two; only the last page has no `next`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a cursor that this store did not issue.
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error>;
}

/// How much of an owner's history is kept: the newest entries, and none that is older than an age.
///
/// ```
/// use session_store::HistoryBounds;
/// use std::time::Duration;
///
/// let bounds = HistoryBounds::default().entries(20).age(Duration::from_secs(30 * 24 * 3600));
/// assert_eq!((bounds.entries, bounds.age.as_secs()), (20, 2_592_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct HistoryBounds {
    /// The number of entries, 1 to [`MOST_ENTRIES`](Self::MOST_ENTRIES). Default: 100.
    pub entries: u32,
    /// The age of the oldest entry, a second to [`LONGEST_AGE`](Self::LONGEST_AGE). Default: 90 days.
    pub age: Duration,
}

impl HistoryBounds {
    /// The highest number of entries: 10,000, about a megabyte.
    pub const MOST_ENTRIES: u32 = 10_000;
    /// The highest age: 400 days.
    pub const LONGEST_AGE: Duration = crate::ttl::MAX_TTL;
    #[cfg(feature = "json")]
    const SHORTEST_AGE: Duration = Duration::from_secs(1);
    /// As far as a history may reach.
    pub const WIDEST: Self = Self { entries: Self::MOST_ENTRIES, age: Self::LONGEST_AGE };

    /// Sets the number of entries. See the [example](Self).
    pub const fn entries(self, entries: u32) -> Self {
        Self { entries, ..self }
    }

    /// Sets the age of the oldest entry. See the [example](Self).
    pub const fn age(self, age: Duration) -> Self {
        Self { age, ..self }
    }

    /// Of these entries, the ones within the bounds at `now`, newest first. Entries of one moment stay in their order.
    /// For a custom store's [`History::list`].
    ///
    /// ```
    /// use session_store::{HistoryBounds, HistoryEntry, HistoryEvent, SessionId, Timestamp};
    /// use std::time::Duration;
    ///
    /// let key = SessionId::generate().key();
    /// let entry = |at| HistoryEntry::new(Timestamp::from_millis(at), HistoryEvent::SignedIn, key.clone(), Timestamp::from_millis(at));
    /// let bounds = HistoryBounds::default().entries(2).age(Duration::from_secs(1));
    ///
    /// let stored = vec![entry(5000), entry(3000), entry(5500), entry(4700)];
    /// assert_eq!(bounds.newest(stored, Timestamp::from_millis(5600)), [entry(5500), entry(5000)]);
    /// ```
    pub fn newest(self, mut stored: Vec<HistoryEntry>, now: Timestamp) -> Vec<HistoryEntry> {
        let oldest = self.oldest(now);
        stored.retain(|entry| entry.at > oldest);
        stored.sort_by_key(|entry| Reverse(entry.at));
        stored.truncate(usize::try_from(self.entries).unwrap_or(usize::MAX));
        stored
    }

    /// What is as old as that at `now`, or older, is beyond the bounds.
    pub(crate) fn oldest(self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.age)
    }

    /// What is wrong with the bounds, if anything.
    #[cfg(feature = "json")]
    pub(crate) fn check(self) -> Result<(), Error> {
        let most = Self::MOST_ENTRIES;
        if !(1..=most).contains(&self.entries) {
            let message = format!("a history of {} entries: give 1 to {most}", self.entries);
            return Err(Error::Config(message));
        }
        if !(Self::SHORTEST_AGE..=Self::LONGEST_AGE).contains(&self.age) {
            let message = format!("a history of {:?}: give a second to 400 days", self.age);
            return Err(Error::Config(message));
        }
        Ok(())
    }
}

impl Default for HistoryBounds {
    fn default() -> Self {
        Self { entries: 100, age: Duration::from_secs(90 * 24 * 60 * 60) }
    }
}

/// A page of histories, from [`History::page`].
///
/// ```
/// use session_store::{Error, History, HistoryEvent};
///
/// async fn sign_ins(history: &dyn History) -> Result<usize, Error> {
///     let (mut count, mut cursor) = (0, None);
///     loop {
///         let page = history.page(cursor.as_ref(), 500).await?;
///         let entries = page.histories.iter().flat_map(|history| &history.entries);
///         count += entries.filter(|entry| entry.what == HistoryEvent::SignedIn).count();
///         cursor = page.next;
///         if cursor.is_none() {
///             return Ok(count);
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// Histories, each of one owner.
    pub histories: Vec<OwnerHistory>,
    /// The place of the next page; `None` at the end.
    pub next: Option<Cursor>,
    /// About which share of the store has been looked at, from 0 to 1.
    pub progress: f64,
}

/// The history of one owner, on a [`HistoryPage`], which has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerHistory {
    /// Whose it is.
    pub owner: OwnerHash,
    /// The entries that can be read, in the order in which they were added, the latest first. Some may be too old by now.
    pub entries: Vec<HistoryEntry>,
}

impl OwnerHistory {
    /// Makes one, for a custom store.
    ///
    /// ```
    /// use session_store::history::OwnerHistory;
    /// use session_store::{Owner, OwnerHash};
    ///
    /// let history = OwnerHistory::new(OwnerHash::of(&Owner::new("ada")?), Vec::new());
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn new(owner: OwnerHash, entries: Vec<HistoryEntry>) -> Self {
        Self { owner, entries }
    }
}

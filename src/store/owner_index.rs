//! The index of sessions by owner that a store may keep: [`OwnerIndex`], and the types of its methods.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{OwnerHash, Record};
use crate::store::scan::Cursor;
use crate::ttl::MAX_TTL;

/// An entry is extended when its session gains a tenth of its idle timeout.
const STEPS: u128 = 10;
/// The clocks of several hosts may differ so much.
pub(crate) const MARGIN: Duration = Duration::from_secs(5);

/// Keeps the sessions of each owner, beside the sessions themselves.
///
/// An application lists and ends an owner's sessions by
/// [`SessionManager::sessions_of`](crate::SessionManager::sessions_of) and
/// [`SessionManager::revoke_all`](crate::SessionManager::revoke_all); this trait is for stores.
///
/// No single step changes both a session and the index. Ending all of an owner's sessions misses none nevertheless,
/// because
///
/// - a session is [inserted](Self::insert) before it is written, and its entry is extended before the session is;
/// - to end sessions, their entries are [marked](Self::revoke) atomically, then the sessions are deleted;
/// - after a session was written, it is inserted again. If the answer is that it was revoked meanwhile, or has ended
///   already, it is deleted. A revoked session's successor is not inserted at all;
/// - an entry is [removed](Self::remove) when its session was deleted, or when its time has passed. That its session
///   was not found is a reason only if the entry is neither [pending](Owned::pending) nor one of two of a lineage, as while
///   a session gets a new id: a write may be in flight, for up to [`Entry::ON_ITS_WAY`].
///
/// Each method is one atomic step for one owner. Entries whose time has passed by the store's clock
/// no longer exist.
///
/// An owner may have a million sessions, so no step may take time that grows with their number: it looks
/// at [`Owned::PAGE`] entries at most. One mark revokes all of an owner's sessions. They are found,
/// deleted and removed page by page afterwards: by the call that revoked them or, if that failed, by the next
/// call that uses the index of this owner.
///
/// ```
/// use session_store::owners::{Entry, IndexInsert, Revocation, Stage, Verdict};
///
/// # use session_store::{Clock, MemoryStore, Owner, OwnerHash, SessionId, SessionStore, SystemClock};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let store = MemoryStore::new();
/// # let owners = store.owners().expect("it keeps an index");
/// # let (ada, day) = (OwnerHash::of(&Owner::new("ada")?), std::time::Duration::from_secs(24 * 3600));
/// # let entry = Entry { key: SessionId::generate().key(), created_at: SystemClock.now() };
/// // A session is entered before and after it is written.
/// owners.insert(ada, IndexInsert::new(&entry, day, Stage::Before)).await?;
/// // … the session is written …
/// let inserted = owners.insert(ada, IndexInsert::new(&entry, day, Stage::After)).await?;
/// assert_eq!((inserted.verdict, inserted.known), (Verdict::Inserted, true));
///
/// // To end all sessions: mark, delete, remove.
/// owners.revoke(ada, Revocation::All).await?;
/// let revoked = owners.revoked(ada).await?;
/// // … the sessions are deleted …
/// owners.remove(ada, &revoked, &[]).await?;
/// assert!(owners.list(ada, None).await?.entries.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of a [`SessionStore`](crate::SessionStore).
#[async_trait]
pub trait OwnerIndex: Send + Sync {
    /// Inserts a session, or extends its entry, never shortening it.
    async fn insert(&self, owner: OwnerHash, insert: IndexInsert<'_>) -> Result<IndexInserted, Error>;

    /// A page of the owner's entries: the first one, or the one `after` another. An entry may be on two
    /// pages; one that exists throughout is on at least one.
    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error>;

    /// Marks entries as revoked. The mark is durable when this returns, as a logout is.
    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error>;

    /// Revoked entries whose sessions are still to be deleted, [`Owned::PAGE`] at most; none once all
    /// were [removed](Self::remove), as `gone` or `missing`.
    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error>;

    /// Removes the entries of sessions that are `gone`, revoked or not. A revoked session that was `missing`
    /// when it was to be deleted stays excluded for [`Entry::ON_ITS_WAY`].
    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error>;
}

/// A session in an index.
///
/// ```
/// use session_store::owners::Entry;
/// use session_store::{Payload, Record, SessionId, Timestamp};
/// use std::time::Duration;
///
/// let day = Duration::from_secs(24 * 3600);
/// let began = Timestamp::from_millis(1_767_225_600_000);
/// let mut record = Record::new(began, began.saturating_add(day), Payload::new(1, "{}"));
/// record.idle_timeout = Some(day);
///
/// let entry = Entry::of(SessionId::generate().key(), &record);
/// assert_eq!(entry.created_at, began);
/// // It outlives its session, so that a tenth of the writes extend it.
/// assert!(Entry::end(&record) >= record.expires_at);
/// assert!(Entry::life(&record, day) > day);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The session's key.
    pub key: SessionKey,
    /// When it began, which never changes under one key.
    pub created_at: Timestamp,
}

impl Entry {
    /// How long a write may be in flight: a minute. The client of a longer one is no longer waiting.
    pub const ON_ITS_WAY: Duration = Duration::from_secs(60);

    /// The entry of a session with an owner. See the [example](Self).
    pub fn of(key: SessionKey, record: &Record) -> Self {
        Self { key, created_at: record.created_at }
    }

    /// The earliest end for the entry of a session with this record: at a full tenth of the idle
    /// timeout, so that most writes need not extend it. See the [example](Self).
    pub fn end(record: &Record) -> Timestamp {
        let idle = record.idle_timeout.unwrap_or_default().min(MAX_TTL).as_millis();
        let step = u64::try_from(idle / STEPS).unwrap_or(u64::MAX).max(1);
        let end = record.expires_at.as_millis();
        Timestamp::from_millis(end.checked_next_multiple_of(step).unwrap_or(end))
    }

    /// The lifetime of the entry of a session that has this record and this time left. See the [example](Self).
    pub fn life(record: &Record, left: Duration) -> Duration {
        left.min(MAX_TTL) + Self::end(record).saturating_since(record.expires_at) + MARGIN
    }
}

/// The input of [`OwnerIndex::insert`]; [`OwnerIndex`] has an example.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[must_use]
pub struct IndexInsert<'a> {
    /// The session.
    pub entry: &'a Entry,
    /// How long the entry has to last: up to 440 days and some seconds.
    pub life: Duration,
    /// The stage in the session's life.
    pub stage: Stage,
    /// The owner's session that it replaces. If that is revoked, so is this one; once this one
    /// was written, the other's entry is removed.
    pub replaces: Option<&'a Entry>,
    /// How many sessions the owner may have, if this adds one. The same session under an old and a new
    /// id, which have one [lineage](SessionKey::lineage), counts once. [`Evict::Refuse`] acts
    /// [before](Stage::Before) the session is written, [`Evict::Oldest`] [after](Stage::After) it, so that
    /// a sign-in refused by the store ends no other session.
    pub limit: Option<OwnerLimit>,
}

impl<'a> IndexInsert<'a> {
    /// Inserts a session at a stage, without replacing or limiting. See the example of [`OwnerIndex`].
    pub fn new(entry: &'a Entry, life: Duration, stage: Stage) -> Self {
        Self { entry, life, stage, replaces: None, limit: None }
    }

    /// Replaces this session of the owner, which got a new id.
    ///
    /// ```
    /// use session_store::owners::{Entry, IndexInsert, Revocation, Stage, Verdict};
    ///
    /// # use session_store::{Clock, MemoryStore, Owner, OwnerHash, SessionId, SessionStore, SystemClock};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let store = MemoryStore::new();
    /// # let owners = store.owners().expect("it keeps an index");
    /// # let (ada, day) = (OwnerHash::of(&Owner::new("ada")?), std::time::Duration::from_secs(24 * 3600));
    /// # let entry = Entry { key: SessionId::generate().key(), created_at: SystemClock.now() };
    /// # owners.insert(ada, IndexInsert::new(&entry, day, Stage::Before)).await?;
    /// # owners.insert(ada, IndexInsert::new(&entry, day, Stage::After)).await?;
    /// # let renewed = Entry { key: SessionId::generate().key(), ..entry.clone() };
    /// // A session that was revoked is not brought back by a renewal that was in flight.
    /// owners.revoke(ada, Revocation::One(&entry)).await?;
    /// let insert = IndexInsert::new(&renewed, day, Stage::Before).replacing(&entry);
    /// assert_eq!(owners.insert(ada, insert).await?.verdict, Verdict::Revoked);
    /// # Ok(())
    /// # }
    /// ```
    pub fn replacing(self, replaced: &'a Entry) -> Self {
        Self { replaces: Some(replaced), ..self }
    }

    /// Limits the owner's sessions.
    ///
    /// ```
    /// use session_store::owners::{Entry, Evict, IndexInsert, OwnerLimit, Stage, Verdict};
    ///
    /// # use session_store::{Clock, MemoryStore, Owner, OwnerHash, SessionId, SessionStore, SystemClock};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let store = MemoryStore::new();
    /// # let owners = store.owners().expect("it keeps an index");
    /// # let (ada, day) = (OwnerHash::of(&Owner::new("ada")?), std::time::Duration::from_secs(24 * 3600));
    /// # let entry = Entry { key: SessionId::generate().key(), created_at: SystemClock.now() };
    /// # owners.insert(ada, IndexInsert::new(&entry, day, Stage::Before)).await?;
    /// # owners.insert(ada, IndexInsert::new(&entry, day, Stage::After)).await?;
    /// # let second = Entry { key: SessionId::generate().key(), ..entry.clone() };
    /// let one = OwnerLimit::new(1, Evict::Refuse);
    /// let insert = IndexInsert::new(&second, day, Stage::Before).limited(one);
    /// assert_eq!(owners.insert(ada, insert).await?.verdict, Verdict::Full);
    /// # Ok(())
    /// # }
    /// ```
    pub fn limited(self, limit: OwnerLimit) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// The stage of a session's life at which it is inserted; [`OwnerIndex`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It is about to be written under its key for the first time.
    Before,
    /// It was written under its key for the first time just now.
    After,
    /// It exists already, and is about to be extended.
    Later,
    /// It was signed in while this index was unreachable, and is brought in now. If it is unknown and began
    /// before all of the owner's sessions were last revoked ([`Owned::revoked_at`], plus five seconds for
    /// clocks that differ), it is revoked.
    Moving,
}

/// The number of sessions that an owner may have at once; [`IndexInsert::limited`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerLimit {
    /// The number of sessions, 1 to [`OwnerLimit::MOST`].
    pub sessions: u32,
    /// The effect of a sign-in beyond that.
    pub evict: Evict,
}

impl OwnerLimit {
    /// The highest limit: a page of the index, so that one step can enforce it.
    pub const MOST: u32 = 1000;

    /// Limits an owner to this many sessions. See the example of [`IndexInsert::limited`].
    pub fn new(sessions: u32, evict: Evict) -> Self {
        Self { sessions, evict }
    }
}

/// The effect of a sign-in when the owner has as many sessions as are allowed.
///
/// ```
/// # #[cfg(all(feature = "json", feature = "memory"))] {
/// use session_store::{Evict, KeyRing, MemoryStore, SessionManager, Values};
///
/// // Three devices; who wants a fourth signs out on one of them.
/// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
///     .max_sessions_per_owner(3, Evict::Refuse)
///     .build()?;
/// # }
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evict {
    /// End the session with the earliest sign-in. For an owner with more than a thousand, from before there was a limit,
    /// each sign-in ends a thousand until the limit is met.
    Oldest,
    /// Refuse the sign-in, with
    /// [`Conflict::TooManySessions`](crate::Conflict::TooManySessions).
    Refuse,
}

/// The answer of [`OwnerIndex::insert`]; [`OwnerIndex`] has an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInserted {
    /// The outcome for the entry.
    pub verdict: Verdict,
    /// Whether it was in the index before. If not, the session may have ended, or the index was lost.
    pub known: bool,
    /// Revoked entries whose sessions are still to be deleted, up to [`IndexInserted::MOST_REVOKED`]: the caller also
    /// deletes sessions that an interrupted revocation left behind.
    pub revoked: Vec<Entry>,
    /// About how many sessions the owner has, where the index knows, once the session was [written](Stage::After).
    pub sessions: Option<u64>,
}

impl IndexInserted {
    /// The maximum number of revoked entries in an answer.
    pub const MOST_REVOKED: usize = 100;

    /// Makes an answer without revoked entries, for a custom index.
    ///
    /// ```
    /// use session_store::owners::{IndexInserted, Verdict};
    ///
    /// let answer = IndexInserted::new(Verdict::Inserted, false);
    /// assert!(answer.revoked.is_empty());
    /// ```
    pub fn new(verdict: Verdict, known: bool) -> Self {
        Self { verdict, known, revoked: Vec::new(), sessions: None }
    }
}

/// The outcome of an insertion; [`IndexInsert::limited`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is in the index.
    Inserted,
    /// It is revoked, or was to replace one that is.
    Revoked,
    /// The owner has as many sessions as are allowed.
    Full,
}

/// The answer of [`OwnerIndex::list`]; [`OwnerIndex`] has an example.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owned {
    /// A page of sessions that exist, may exist, or are about to.
    pub entries: Vec<Entry>,
    /// Those of the entries whose sessions were not written yet, as far as is known: inserted at [`Stage::Before`] without
    /// one to replace, and at no other stage since. That such a session is not found does not mean that it has ended.
    pub pending: Vec<Entry>,
    /// The place of the next page; `None` at the end.
    pub next: Option<Cursor>,
    /// Sessions that are still to be deleted, up to [`IndexInserted::MOST_REVOKED`].
    pub revoked: Vec<Entry>,
    /// When all of the owner's sessions, or all but one, were last revoked, if that is less than
    /// [`Owned::REVOCATION_KNOWN`] ago: sessions signed in elsewhere before then must not be brought in.
    pub revoked_at: Option<Timestamp>,
}

impl Owned {
    /// The maximum number of entries in a page.
    pub const PAGE: usize = 1000;

    /// How long the time of an owner's last revocation is kept: a week.
    pub const REVOCATION_KNOWN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

/// Adds the entries of keys that are not there yet.
#[cfg(any(feature = "memory", feature = "redis"))]
pub(crate) fn add(entries: &mut Vec<Entry>, more: Vec<Entry>) {
    use std::collections::HashSet;
    let known: HashSet<_> = entries.iter().map(|entry| entry.key.clone()).collect();
    entries.extend(more.into_iter().filter(|entry| !known.contains(&entry.key)));
}

/// A page of an owner whose entries are in two indexes: all pages of the first come before those of the
/// second. What is revoked in one is revoked, and what is pending in one is pending.
#[cfg(any(feature = "memory", feature = "redis"))]
pub(crate) async fn list_both(
    [first, second]: [&dyn OwnerIndex; 2],
    owner: OwnerHash,
    after: Option<&Cursor>,
) -> Result<Owned, Error> {
    const IN_SECOND: &str = "2+";
    let in_second = after.and_then(|after| after.as_str().strip_prefix(IN_SECOND));
    let of_second = |cursor: &str| Cursor::new(format!("{IN_SECOND}{cursor}"));
    let mut page = match in_second {
        None => first.list(owner, after).await?,
        Some(_) => Owned::default(),
    };
    if page.next.is_some() && after.is_some() {
        return Ok(page);
    }
    // The first page of each has what both say of all entries.
    let cursor = in_second.filter(|cursor| !cursor.is_empty()).map(Cursor::new);
    let more = second.list(owner, cursor.as_ref()).await?;
    add(&mut page.revoked, more.revoked);
    // While there are two layouts, each index has a session under a key of its own, and only the first's finds it in
    // both. Unless this is the first page, that may be on another one.
    add(&mut page.pending, if after.is_some() { more.entries.clone() } else { more.pending });
    page.revoked_at = page.revoked_at.max(more.revoked_at);
    if page.next.is_none() && (page.entries.len() + more.entries.len() <= Owned::PAGE || in_second.is_some())
    {
        add(&mut page.entries, more.entries);
        page.next = more.next.map(|next| of_second(next.as_str()));
    } else if page.next.is_none() {
        page.next = Some(of_second(""));
    }
    page.entries.retain(|entry| !page.revoked.contains(entry));
    Ok(page)
}

/// The entries that [`OwnerIndex::revoke`] marks; [`OwnerIndex`] has an example.
#[derive(Clone, Copy, Debug)]
pub enum Revocation<'a> {
    /// All of the owner's entries.
    All,
    /// All entries but this one.
    AllBut(&'a Entry),
    /// This entry, which need not be in the index.
    One(&'a Entry),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Payload;

    /// Whatever the timeouts, the entry of a session that ends at `now + left` lasts until then; and as long
    /// as no write moves that past the entry's own end, none is extended.
    #[test]
    fn an_entry_outlives_its_session() {
        let day = Duration::from_secs(24 * 60 * 60);
        for idle in [Duration::ZERO, Duration::from_millis(7), day, 365 * day, 400 * day, Duration::MAX] {
            let now = Timestamp::from_millis(1_767_225_600_123);
            let left = idle.min(MAX_TTL);
            let record = |expires_at| Record {
                idle_timeout: (!idle.is_zero()).then_some(idle),
                ..Record::new(now, expires_at, Payload::new(1, ""))
            };
            let first = record(now.saturating_add(left));
            let entry_ends = now.saturating_add(Entry::life(&first, left));
            assert!(entry_ends >= Entry::end(&first) && Entry::end(&first) >= first.expires_at, "{idle:?}");
            for share in 1..=40 {
                let later = record(first.expires_at.saturating_add(left / 200 * share));
                if Entry::end(&later) <= Entry::end(&first) {
                    assert!(later.expires_at <= entry_ends, "{idle:?}, {share}");
                }
            }
            assert!(Entry::life(&first, left) <= left + left / 10 + MARGIN);
        }
    }
}

//! Whose sessions there are: the [`OwnerIndex`] that a store may keep, and how it stays true.

use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Owner, Record};
use crate::store::scan::Cursor;
use crate::ttl::MAX_TTL;

/// An entry is extended when its session gains a tenth of its idle timeout.
const STEPS: u128 = 10;
/// The clocks of several hosts may differ so much.
pub(crate) const MARGIN: Duration = Duration::from_secs(5);

/// Which sessions an owner has, in a store that keeps sessions apart from each other.
///
/// The index and a session are two places, so no step changes both. What the engine promises by it,
/// that no session of an owner is missed when all of them are ended, holds because
///
/// - a session is [inserted](Self::insert) before it is written, and inserted for longer before it is
///   extended;
/// - revoking sessions [marks](Self::revoke) their entries first, in one step, and deletes the sessions then;
/// - after a session was written it is inserted again. That says whether it was revoked while it was being
///   written, or has ended already: then it goes. A revoked session's successor is not inserted at all;
/// - an entry [leaves](Self::remove) when its session was deleted, or when its time has passed, and not
///   because its session was not found: it may be on its way, for up to [`Entry::ON_ITS_WAY`].
///
/// Each method is one atomic step for one owner. Entries whose time has passed, by the store's clock,
/// are gone.
///
/// An owner may have a million sessions, so no step may take time that grows with their number: it looks
/// at [`Owned::PAGE`] entries at most. All of an owner's sessions are revoked by one mark. They are found,
/// deleted and removed page by page afterwards: by the call that revoked them or, if that failed, by the next
/// call that uses the index of this owner.
///
/// # Errors
///
/// Those of a [`SessionStore`](crate::SessionStore).
#[async_trait]
pub trait OwnerIndex: Send + Sync {
    /// Inserts a session, or lets its entry last longer; never shorter.
    async fn insert(&self, owner: &Owner, insert: IndexInsert<'_>) -> Result<IndexInserted, Error>;

    /// A page of the owner's entries: the first one, or the one `after` another. An entry may be on two
    /// pages; one that is there all the time is on one at least.
    async fn list(&self, owner: &Owner, after: Option<&Cursor>) -> Result<Owned, Error>;

    /// Marks entries as revoked. The mark is durable when this answers, as a logout is.
    async fn revoke(&self, owner: &Owner, which: Revocation<'_>) -> Result<(), Error>;

    /// Revoked entries whose sessions are to be deleted, [`Owned::PAGE`] of them at most; none once all
    /// were [removed](Self::remove), `gone` or `missing`.
    async fn revoked(&self, owner: &Owner) -> Result<Vec<Entry>, Error>;

    /// Removes the entries of sessions that are `gone`, revoked or not. A revoked session that was `missing`
    /// when it was to be deleted is kept out for [`Entry::ON_ITS_WAY`] more.
    async fn remove(&self, owner: &Owner, gone: &[Entry], missing: &[Entry]) -> Result<(), Error>;
}

/// A session in an index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The session's key.
    pub key: SessionKey,
    /// When it began. That never changes under one key.
    pub created_at: Timestamp,
}

impl Entry {
    /// How long a write may be on its way: a minute. One that takes longer is that of a client which
    /// nobody listens to any more.
    pub const ON_ITS_WAY: Duration = Duration::from_secs(60);

    /// The entry of a session with an owner.
    pub fn of(key: SessionKey, record: &Record) -> Self {
        Self { key, created_at: record.created_at }
    }

    /// When the entry of a session with this record should end, or later: at a full tenth of the idle
    /// timeout, so that most writes need not extend it.
    pub fn end(record: &Record) -> Timestamp {
        let idle = record.idle_timeout.unwrap_or_default().min(MAX_TTL).as_millis();
        let step = u64::try_from(idle / STEPS).unwrap_or(u64::MAX).max(1);
        let end = record.expires_at.as_millis();
        Timestamp::from_millis(end.checked_next_multiple_of(step).unwrap_or(end))
    }

    /// How long the entry lasts of a session with this record that has this time left.
    pub fn life(record: &Record, left: Duration) -> Duration {
        left.min(MAX_TTL) + Self::end(record).saturating_since(record.expires_at) + MARGIN
    }
}

/// What [`OwnerIndex::insert`] is asked to do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[must_use]
pub struct IndexInsert<'a> {
    /// The session.
    pub entry: &'a Entry,
    /// How long the entry is to last: up to 440 days and some seconds.
    pub life: Duration,
    /// When in the life of the session this is.
    pub stage: Stage,
    /// The owner's session that it takes the place of. If that is revoked, so is this one; once this one
    /// was written, the other's entry goes.
    pub replaces: Option<&'a Entry>,
    /// How many sessions the owner may have, if this is one more. The same session under an old and a new
    /// id, which are of one [lineage](SessionKey::lineage), counts once. [`Evict::Refuse`] acts
    /// [before](Stage::Before) the session is written, [`Evict::Oldest`] [after](Stage::After) it, so that
    /// a sign-in which the store refuses ends no other session.
    pub limit: Option<OwnerLimit>,
}

impl<'a> IndexInsert<'a> {
    /// Inserts a session at some stage, and nothing else.
    pub fn new(entry: &'a Entry, life: Duration, stage: Stage) -> Self {
        Self { entry, life, stage, replaces: None, limit: None }
    }

    /// It takes the place of this session of the owner.
    pub fn replacing(self, replaced: &'a Entry) -> Self {
        Self { replaces: Some(replaced), ..self }
    }

    /// The owner may have so many sessions.
    pub fn limited(self, limit: OwnerLimit) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// When in the life of a session it is inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It is about to be written under its key for the first time.
    Before,
    /// It was written under its key for the first time just now.
    After,
    /// It has been there, and is about to be extended.
    Later,
    /// It was signed in while this index could not be asked, and comes now. If it is unknown and began
    /// before all of the owner's sessions were last revoked ([`Owned::revoked_at`], and five seconds for
    /// clocks that differ), it is revoked.
    Moving,
}

/// How many sessions an owner may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerLimit {
    /// So many; 1 to [`OwnerLimit::MOST`].
    pub sessions: u32,
    /// What happens at a sign-in beyond that.
    pub evict: Evict,
}

impl OwnerLimit {
    /// The highest limit: a page of the index, so that one step can see to it.
    pub const MOST: u32 = 1000;

    /// So many sessions, and what happens at a sign-in beyond that.
    pub fn new(sessions: u32, evict: Evict) -> Self {
        Self { sessions, evict }
    }
}

/// What happens when somebody signs in who has as many sessions as are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evict {
    /// The session ends whose sign-in is longest ago. Of an owner who has more than a thousand, from
    /// before there was a limit, a thousand end with each sign-in until the limit is met.
    Oldest,
    /// The sign-in is refused, with
    /// [`Conflict::TooManySessions`](crate::Conflict::TooManySessions).
    Refuse,
}

/// What [`OwnerIndex::insert`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInserted {
    /// What became of the entry.
    pub verdict: Verdict,
    /// Whether it was in the index before. If not, the session may have ended, or the index was lost.
    pub known: bool,
    /// Revoked entries whose sessions are to be deleted, up to [`IndexInserted::MOST_REVOKED`]: whoever enters a
    /// session also deletes what a call that revoked it may have left.
    pub revoked: Vec<Entry>,
}

impl IndexInserted {
    /// How many revoked entries an answer has at most.
    pub const MOST_REVOKED: usize = 100;

    /// An answer without revoked entries.
    pub fn new(verdict: Verdict, known: bool) -> Self {
        Self { verdict, known, revoked: Vec::new() }
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is in the index.
    Inserted,
    /// It is revoked, or was to take the place of one that is.
    Revoked,
    /// The owner has as many sessions as are allowed.
    Full,
}

/// What [`OwnerIndex::list`] answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owned {
    /// Sessions that are there, may be there, or are about to be: a page of them.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
    /// Sessions that are to be deleted, up to [`IndexInserted::MOST_REVOKED`].
    pub revoked: Vec<Entry>,
    /// When all of the owner's sessions, or all but one, were last revoked, if that is less than
    /// [`Owned::REVOCATION_KNOWN`] ago: what was signed in elsewhere before then must not be brought in.
    pub revoked_at: Option<Timestamp>,
}

impl Owned {
    /// How many entries a page has at most.
    pub const PAGE: usize = 1000;

    /// How long it is known when an owner's sessions were last revoked: a week.
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
/// second. What is revoked in one is revoked.
#[cfg(any(feature = "memory", feature = "redis"))]
pub(crate) async fn list_both(
    [first, second]: [&dyn OwnerIndex; 2],
    owner: &Owner,
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

/// Which entries [`OwnerIndex::revoke`] marks.
#[derive(Clone, Copy, Debug)]
pub enum Revocation<'a> {
    /// All of the owner's.
    All,
    /// All but this one.
    AllBut(&'a Entry),
    /// This one, which need not be in the index.
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

//! Whose sessions there are: the [`OwnerIndex`] that a store may keep, and how it stays true.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Owner, Record};
use crate::ttl::Ttl;

/// Which sessions an owner has, in a store that keeps sessions apart from each other.
///
/// The index and a session are two places, so no step changes both. What the engine promises by it,
/// that no session of an owner is missed when all of them are ended, holds because
///
/// - a session is [entered](Self::enter) before it is written, and entered for longer before it is
///   extended;
/// - who ends sessions [dooms](Self::doom) their entries first, in one step, and deletes them then;
/// - who has written a session enters it again, and finds out whether it was doomed meanwhile: then it
///   goes. A doomed session's successor is not entered at all;
/// - an entry [leaves](Self::remove) when its session was deleted, or when its time has passed, and not
///   because its session was not found: it may be on its way.
///
/// Each method is one atomic step for one owner. Entries whose time has passed, by the store's clock,
/// are gone.
///
/// # Errors
///
/// Those of a [`SessionStore`](crate::SessionStore).
#[async_trait]
pub trait OwnerIndex: Send + Sync {
    /// Enters a session, or lets its entry last longer; never shorter.
    async fn enter(&self, owner: &Owner, entering: Entering<'_>) -> Result<Entered, Error>;

    /// The owner's entries: those whose sessions should be there, and those that are doomed.
    async fn list(&self, owner: &Owner) -> Result<Owned, Error>;

    /// Dooms entries, and answers with all of the owner's that are doomed now.
    async fn doom(&self, owner: &Owner, which: Doom<'_>) -> Result<Vec<Entry>, Error>;

    /// Takes entries away, doomed or not.
    async fn remove(&self, owner: &Owner, entries: &[Entry]) -> Result<(), Error>;
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
    /// The entry of a session with an owner.
    pub fn of(key: SessionKey, record: &Record) -> Self {
        Self { key, created_at: record.created_at }
    }
}

/// What [`OwnerIndex::enter`] is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Entering<'a> {
    /// The session.
    pub entry: &'a Entry,
    /// How long it is there at most.
    pub ttl: Ttl,
    /// The owner's session that it takes the place of: if that is doomed, so is this one, and it does
    /// not count as one more.
    pub replaces: Option<&'a Entry>,
    /// An entry whose session is no more, to be taken away.
    pub gone: Option<&'a Entry>,
    /// How many sessions the owner may have, if this is a new one.
    pub limit: Option<OwnerLimit>,
}

impl<'a> Entering<'a> {
    /// Enters a session and nothing else.
    pub fn new(entry: &'a Entry, ttl: Ttl) -> Self {
        Self { entry, ttl, replaces: None, gone: None, limit: None }
    }
}

/// How many sessions an owner may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnerLimit {
    /// So many; at least 1.
    pub sessions: u32,
    /// What happens at a sign-in beyond that.
    pub evict: Evict,
}

/// What happens when somebody signs in who has as many sessions as are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evict {
    /// The session ends whose sign-in is longest ago.
    Oldest,
    /// The sign-in is refused, with
    /// [`Conflict::TooManySessions`](crate::Conflict::TooManySessions).
    Refuse,
}

/// What [`OwnerIndex::enter`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// What became of the entry.
    pub verdict: Verdict,
    /// All of the owner's entries that are doomed now.
    pub doomed: Vec<Entry>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is in the index.
    Entered,
    /// It is doomed, or was to take the place of one that is.
    Doomed,
    /// The owner has as many sessions as are allowed.
    Full,
}

/// What [`OwnerIndex::list`] answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// Sessions that are there, may be there, or are about to be.
    pub entries: Vec<Entry>,
    /// Sessions that are to go.
    pub doomed: Vec<Entry>,
    /// When all of the owner's sessions, or all but one, were last doomed, if that is less than a week
    /// ago.
    pub revoked_at: Option<Timestamp>,
}

/// Which entries [`OwnerIndex::doom`] dooms.
#[derive(Clone, Copy, Debug)]
pub enum Doom<'a> {
    /// All of the owner's.
    All,
    /// All but this one.
    AllBut(&'a Entry),
    /// This one, which need not be in the index.
    One(&'a Entry),
}

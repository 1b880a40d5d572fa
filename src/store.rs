//! Where sessions are kept: the [`SessionStore`] trait, what its operations answer, and the stores.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "json")]
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
#[cfg(feature = "json")]
use crate::cookie::SessionCookie;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Record, Revision};
use crate::ttl::Ttl;
use feed::Feed;
use owner_index::OwnerIndex;
use scan::Scan;
use status::StoreStatus;

#[cfg(any(feature = "memory", feature = "redis"))]
pub(crate) mod background;
#[cfg(feature = "memory")]
pub(crate) mod fallback;
pub mod feed;
#[cfg(feature = "memory")]
pub(crate) mod memory;
#[cfg(feature = "memory")]
pub(crate) mod near_cache;
pub mod owner_index;
#[cfg(feature = "redis")]
pub(crate) mod record_limit;
#[cfg(feature = "redis")]
pub(crate) mod redis;
pub(crate) mod scan;
pub(crate) mod status;
#[cfg(feature = "json")]
pub(crate) mod told_owner;

/// Keeps sessions, and decides races between requests.
///
/// Each method is one atomic step. Together they promise what the engine builds on:
///
/// - **A write never creates**, except [`create`](Self::create). A session that was deleted stays
///   deleted, whatever was in flight.
/// - **Every write is a compare-and-swap** on the record's [`Revision`], so no change of another
///   request is overwritten unseen.
/// - **A write that is sent twice answers as it did the first time**, as long as at most one other
///   write came between: it finds its own revision in the record, or in the marker of a rotation.
/// - **A write that was on its way during a rotation is not lost**: where the engine asks for it, an update
///   follows the marker to the session's new key. Nothing else does, but a deletion.
/// - **Nothing is kept without a time to live.**
///
/// Stores see keys, which are hashes, and never ids. Each removes what has expired by its own
/// clock; the engine besides refuses a record that is past its time by the engine's clock.
///
/// The `conformance` module (feature `conformance`) tests each promise on any store, in one line;
/// `examples/custom_store.rs` is a store of one's own.
///
/// # Wrappers
///
/// A store around another one has to forward *every* method. One that is left out answers with its default, so
/// what the inner store can do is lost without an error: a store without [`owners`](Self::owners) signs nobody
/// out. `#[deny(clippy::missing_trait_methods)]` on the `impl` finds a method that a later version adds.
///
/// # Errors
///
/// [`Error::Unavailable`] where the store can't be asked (with `outcome_unknown` if a write may
/// have taken effect), [`Error::Refused`] where it says no, [`Error::Corrupt`] and
/// [`Error::NewerFormat`] where what is stored under the key can't be read: it is then left as it
/// is, except by [`delete`](Self::delete).
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Reads the session of `key`.
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error>;

    /// The same, and never from a [copy](crate::feed::CopySource): for what must know what is there now. A store
    /// that keeps no copies has no need of its own; one around another store has to forward it.
    async fn load_fresh(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.load(key).await
    }

    /// Stores a new session, unless there is one already.
    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error>;

    /// Replaces the session's record if its present revision is `update.expected`.
    ///
    /// If `update.follow` is set and the key holds the marker of a rotation, the step acts on the
    /// session at its new key as it would have on the old one: it compares the revision there, and
    /// answers [`Updated`](Updated::Updated), [`Stale`](Updated::Stale) with the record there, or
    /// [`Missing`](Updated::Missing). It follows one marker; behind a second one it answers
    /// [`Moved`](Updated::Moved). An update that is sent twice recognises itself in the marker, at
    /// the new key, and in a marker there.
    async fn update(&self, update: Update<'_>) -> Result<Updated, Error>;

    /// Moves the end of a session that still has the revision `touch.expected` to `touch.expires_at`, and its
    /// time to live to `touch.ttl`. `false`, and no effect, if it has another revision, is gone, or ends
    /// later than that already, or than `touch.known_end`: of many requests at once that would touch a session,
    /// one does. One that is sent twice answers `false` the second time.
    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error>;

    /// Moves a session to a new key, with a new record, if it has that record's previous revision.
    ///
    /// One atomic step: `record` is written to `rotation.new`, and a [`Moved`](crate::Moved)
    /// marker takes its place at `rotation.old`, for [`Moved::ttl`](crate::Moved::ttl).
    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error>;

    /// Deletes whatever is stored under `key`, readable or not; after a rotation, the session at
    /// its new key too, and so on along the chain. Answers whether there was something: advisory,
    /// for a second deletion finds nothing.
    async fn delete(&self, key: &SessionKey) -> Result<bool, Error>;

    /// What the store asks of the manager that uses it, which is refused if it does otherwise. A store
    /// around another one passes on what that asks.
    fn requirements(&self) -> Requirements {
        Requirements::default()
    }

    /// The index of whose sessions these are, if the store keeps one: without it, nobody's sessions
    /// can be listed, ended together or limited. `None` unless the store says otherwise.
    fn owners(&self) -> Option<&dyn OwnerIndex> {
        None
    }

    /// A way to go through all sessions, if the store has one. `None` unless the store says otherwise.
    fn scan(&self) -> Option<&dyn Scan> {
        None
    }

    /// What the store tells of changes by itself, if it does: without that, nobody can wait for a session's end.
    /// `None` unless the store says otherwise.
    fn feed(&self) -> Option<&dyn Feed> {
        None
    }

    /// How the store is, as far as is known without asking a server.
    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
}

/// What a [`SessionStore`] asks of the manager that uses it: nothing, unless others read its sessions too.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Requirements {
    /// Ids, data and this cookie as Express has them.
    #[cfg(feature = "json")]
    pub(crate) express: Option<SessionCookie>,
    /// Where it is to be told how the owner is found in a session's data.
    #[cfg(feature = "json")]
    pub(crate) told_owner: Option<told_owner::ToldOwner>,
    /// How old what a load answers may be.
    #[cfg(feature = "json")]
    pub(crate) oldest_copy: Duration,
    /// Where the store's background tasks run.
    #[cfg(all(feature = "memory", feature = "redis"))]
    pub(crate) home: Option<background::RuntimeHandle>,
    /// How much of a record the store reads: the manager raises it to what it may write.
    #[cfg(all(feature = "json", feature = "redis"))]
    pub(crate) record_limit: Option<record_limit::RecordLimit>,
}

/// What [`SessionStore::update`] writes.
///
/// ```
/// use session_store::{Record, Revision, SessionKey, SessionStore, Ttl, Update, Updated};
///
/// async fn save(store: &dyn SessionStore, key: &SessionKey, read: &Record) -> Result<bool, session_store::Error> {
///     let ttl = Ttl::new(std::time::Duration::from_secs(3600));
///     let updated = store.update(Update::new(key, &read.next(), ttl)).await?;
///     Ok(updated == Updated::Updated)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Update<'a> {
    /// The session's key.
    pub key: &'a SessionKey,
    /// The new record, made by [`Record::next`]: the session must have its previous revision.
    pub record: &'a Record,
    /// The new record's time to live.
    pub ttl: Ttl,
    /// Whether the update follows the marker of a rotation. The engine sets this only for a request
    /// that had loaded the session before the rotation, and only for what it writes: a load that
    /// followed would hand the session to whoever knows the old id (session fixation).
    pub follow: bool,
    /// The record that the new one replaces, as far as the caller knows it: a store may find out by the whole of it,
    /// which is faster, that nothing has changed. What counts is the revision all the same.
    pub replaced: Option<&'a Record>,
}

impl<'a> Update<'a> {
    /// An update of the session under `key` itself.
    pub fn new(key: &'a SessionKey, record: &'a Record, ttl: Ttl) -> Self {
        Self { key, record, ttl, follow: false, replaced: None }
    }

    /// The revision that the session must have: the record's previous one. A record without one replaces
    /// nothing.
    pub fn expected(&self) -> Revision {
        self.record.replaces()
    }

    /// The same update, of the session as it was loaded.
    #[must_use]
    pub fn replacing(self, loaded: &'a Record) -> Self {
        Self { replaced: Some(loaded), ..self }
    }

    /// The same update, following the marker of a rotation.
    #[must_use]
    pub fn following(self) -> Self {
        Self { follow: true, ..self }
    }
}

/// What [`SessionStore::touch`] does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Touch<'a> {
    /// The session's key.
    pub key: &'a SessionKey,
    /// The revision that the session must have.
    pub expected: Revision,
    /// When it ends, as far as the caller knows.
    pub known_end: Timestamp,
    /// When it is to end.
    pub expires_at: Timestamp,
    /// Its new time to live.
    pub ttl: Ttl,
}

impl<'a> Touch<'a> {
    /// A touch of the session under `key`, of which `known` was loaded.
    pub fn new(key: &'a SessionKey, known: &Record, expires_at: Timestamp, ttl: Ttl) -> Self {
        Self { key, expected: known.revision, known_end: known.expires_at, expires_at, ttl }
    }
}

/// What [`SessionStore::rotate`] moves.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rotation<'a> {
    /// The session's present key.
    pub old: &'a SessionKey,
    /// Its new key, of the same lineage and never used before.
    pub new: &'a SessionKey,
    /// Its new record, made by [`Record::next`]: the session must have its previous revision.
    pub record: &'a Record,
    /// The new record's time to live.
    pub ttl: Ttl,
}

impl<'a> Rotation<'a> {
    /// A rotation of the session under `old` to `new`.
    pub fn new(old: &'a SessionKey, new: &'a SessionKey, record: &'a Record, ttl: Ttl) -> Self {
        Self { old, new, record, ttl }
    }

    /// The revision that the session must have: the record's previous one. A record without one replaces
    /// nothing.
    pub fn expected(&self) -> Revision {
        self.record.replaces()
    }
}

/// What [`SessionStore::load`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loaded {
    /// The session.
    Found(Record),
    /// The session has a new id. A load does not tell which.
    Moved,
    /// Nothing, or a session that has expired.
    Absent,
}

/// What became of a [`SessionStore::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// The session is stored.
    Created,
    /// Something else is stored under the key; it was left as it is.
    Taken,
}

/// What became of a [`SessionStore::update`] or a [`SessionStore::rotate`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Updated {
    /// The write took effect.
    Updated,
    /// Another write came first. It takes no second read to merge with it: here is its record.
    Stale(Record),
    /// There is no such session (any more).
    Missing,
    /// The session has a new id; of an update that [follows](Update::follow), two of them since.
    Moved,
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: SessionStore + ?Sized> SessionStore for $pointer {
            async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
                (**self).load(key).await
            }

            async fn load_fresh(&self, key: &SessionKey) -> Result<Loaded, Error> {
                (**self).load_fresh(key).await
            }

            async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
                (**self).create(key, record, ttl).await
            }

            async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
                (**self).update(update).await
            }

            async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
                (**self).touch(touch).await
            }

            async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
                (**self).rotate(rotation).await
            }

            async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
                (**self).delete(key).await
            }

            fn requirements(&self) -> Requirements {
                (**self).requirements()
            }

            fn owners(&self) -> Option<&dyn OwnerIndex> {
                (**self).owners()
            }

            fn scan(&self) -> Option<&dyn Scan> {
                (**self).scan()
            }

            fn feed(&self) -> Option<&dyn Feed> {
                (**self).feed()
            }

            fn status(&self) -> StoreStatus {
                (**self).status()
            }
        }
    )*};
}

forward!(Arc<S>, Box<S>);

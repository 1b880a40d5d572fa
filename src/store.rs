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
use history::History;
use owner_index::OwnerIndex;
use scan::Scan;
use status::StoreStatus;

#[cfg(any(feature = "json", feature = "memory", feature = "redis"))]
pub(crate) mod background;
#[cfg(feature = "memory")]
pub(crate) mod fallback;
pub mod feed;
pub mod history;
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
/// - **A write in flight during a rotation is not lost**: where the engine asks for it, an update
///   follows the marker to the session's new key. Apart from deletions, nothing else does.
/// - **Nothing is kept without a time to live.**
///
/// Stores see keys, which are hashes, and never ids. Each removes expired sessions by its own
/// clock; the engine also refuses a record that has expired by the engine's clock.
///
/// The `conformance` module (feature `conformance`) tests each promise on any store, in one line;
/// `examples/custom_store.rs` is a custom store.
///
/// ```
/// use session_store::{Created, Loaded, SessionStore, Update, Updated};
///
/// # use session_store::{Clock, MemoryStore, Payload, Record, SessionId, SystemClock, Ttl};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let store = MemoryStore::new();
/// # let (id, hour) = (SessionId::generate(), Ttl::new(std::time::Duration::from_secs(3600)));
/// # let key = id.key();
/// # let now = SystemClock.now();
/// # let record = Record::new(now, now.saturating_add(hour.as_duration()), Payload::new(1, "{}"));
/// assert_eq!(store.create(&key, &record, hour).await?, Created::Created);
/// assert_eq!(store.load(&key).await?, Loaded::Found(record.clone()));
///
/// // A write names the revision that it replaces. Of two, one comes too late.
/// let (one, other) = (record.next(), record.next());
/// assert_eq!(store.update(Update::new(&key, &one, hour)).await?, Updated::Updated);
/// assert_eq!(store.update(Update::new(&key, &other, hour)).await?, Updated::Stale(one));
///
/// assert!(store.delete(&key).await?);
/// // No write brings it back.
/// assert_eq!(store.update(Update::new(&key, &other, hour)).await?, Updated::Missing);
/// # Ok(())
/// # }
/// ```
///
/// # Wrappers
///
/// A store around another one has to forward *every* method. An omitted method falls back to its default, and a
/// capability of the inner store is lost without an error: a store without [`owners`](Self::owners) can't sign a user
/// out everywhere. `#[deny(clippy::missing_trait_methods)]` on the `impl` finds methods that a later version adds.
///
/// # Errors
///
/// [`Error::Unavailable`] if the store can't be reached (with `outcome_unknown` if a write may
/// have taken effect), [`Error::Refused`] if it rejects the operation, [`Error::Corrupt`] and
/// [`Error::NewerFormat`] if the value under the key can't be read: it is then left untouched,
/// except by [`delete`](Self::delete).
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Reads the session of `key`.
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error>;

    /// Reads the session of `key` from the store itself, never from a [copy](crate::feed::CopySource). A store without
    /// copies needs no implementation of its own; a store around another one has to forward it.
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
    /// time to live to `touch.ttl`. Returns `false`, without effect, if the session has another revision, is gone, or
    /// already ends later than that or than `touch.known_end`: of many concurrent requests that would touch a session,
    /// one does. A touch that is sent twice answers `false` the second time.
    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error>;

    /// Moves a session to a new key, with a new record, if it has that record's previous revision.
    ///
    /// One atomic step: `record` is written to `rotation.new`, and a [`Moved`](crate::Moved)
    /// marker takes its place at `rotation.old`, for [`Moved::ttl`](crate::Moved::ttl).
    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error>;

    /// Deletes whatever is stored under `key`, readable or not; after a rotation, the session at
    /// its new key too, and so on along the chain. Returns whether there was something: advisory,
    /// since a repeated deletion finds nothing.
    async fn delete(&self, key: &SessionKey) -> Result<bool, Error>;

    /// Constraints on the manager; `build` fails unless they are met. A store around another one forwards the inner
    /// store's.
    fn requirements(&self) -> Requirements {
        Requirements::default()
    }

    /// The index of sessions by owner, if the store keeps one: without it, an owner's sessions can't be listed, ended
    /// together or limited. Default: `None`.
    fn owners(&self) -> Option<&dyn OwnerIndex> {
        None
    }

    /// A way to go through all sessions, if the store has one. Default: `None`.
    fn scan(&self) -> Option<&dyn Scan> {
        None
    }

    /// The feed of changes, if the store has one: without it, waiting for a session's end is not supported. Default:
    /// `None`.
    fn feed(&self) -> Option<&dyn Feed> {
        None
    }

    /// What happened to each owner's sessions, if the store keeps it. Default: `None`.
    fn history(&self) -> Option<&dyn History> {
        None
    }

    /// The store's status, as far as it is known without asking a server.
    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }
}

/// Constraints that a [`SessionStore`] puts on its manager; none, unless other programs read its sessions too.
///
/// A store around another one forwards them, as [`SessionStore::requirements`] says.
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
    #[cfg(all(any(feature = "memory", feature = "json"), feature = "redis"))]
    pub(crate) home: Option<background::RuntimeHandle>,
    /// How much of a record the store reads: the manager raises it to what it may write.
    #[cfg(all(feature = "json", feature = "redis"))]
    pub(crate) record_limit: Option<record_limit::RecordLimit>,
}

/// The input of [`SessionStore::update`].
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
    /// followed would give the session to anybody who knows the old id (session fixation).
    pub follow: bool,
    /// The record that the new one replaces, if the caller has it: a store may compare it as a whole to see that nothing
    /// has changed, which is faster. The revision is what counts nevertheless.
    pub replaced: Option<&'a Record>,
}

impl<'a> Update<'a> {
    /// Makes an update of the session under `key` itself.
    ///
    /// ```
    /// use session_store::{SessionStore, Update, Updated};
    ///
    /// # use session_store::{Clock, MemoryStore, Payload, Record, SessionId, SystemClock, Ttl};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let store = MemoryStore::new();
    /// # let (id, hour) = (SessionId::generate(), Ttl::new(std::time::Duration::from_secs(3600)));
    /// # let key = id.key();
    /// # let now = SystemClock.now();
    /// # let record = Record::new(now, now.saturating_add(hour.as_duration()), Payload::new(1, "{}"));
    /// # store.create(&key, &record, hour).await?;
    /// // `next` remembers the revision that it replaces.
    /// let mut written = record.next();
    /// written.data = Payload::new(1, r#"{"theme":"dark"}"#);
    /// let update = Update::new(&key, &written, hour);
    /// assert_eq!(update.expected(), record.revision);
    /// assert_eq!(store.update(update).await?, Updated::Updated);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(key: &'a SessionKey, record: &'a Record, ttl: Ttl) -> Self {
        Self { key, record, ttl, follow: false, replaced: None }
    }

    /// The revision that the session must have: the record's previous one. A record without one replaces
    /// nothing. See the example of [`new`](Self::new).
    pub fn expected(&self) -> Revision {
        self.record.replaces()
    }

    /// Adds the record as it was loaded, which lets some stores compare faster.
    ///
    /// ```
    /// use session_store::{Loaded, SessionStore, Update, Updated};
    ///
    /// # use session_store::{Clock, MemoryStore, Payload, Record, SessionId, SystemClock, Ttl};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let store = MemoryStore::new();
    /// # let (id, hour) = (SessionId::generate(), Ttl::new(std::time::Duration::from_secs(3600)));
    /// # let key = id.key();
    /// # let now = SystemClock.now();
    /// # let record = Record::new(now, now.saturating_add(hour.as_duration()), Payload::new(1, "{}"));
    /// # store.create(&key, &record, hour).await?;
    /// let Loaded::Found(loaded) = store.load(&key).await? else { return Ok(()) };
    /// let written = loaded.next();
    /// assert_eq!(store.update(Update::new(&key, &written, hour).replacing(&loaded)).await?, Updated::Updated);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn replacing(self, loaded: &'a Record) -> Self {
        Self { replaced: Some(loaded), ..self }
    }

    /// Makes the update follow the marker of a rotation.
    ///
    /// ```
    /// use session_store::{SessionStore, Update, Updated};
    ///
    /// # use session_store::{Clock, MemoryStore, Payload, Record, SessionId, SystemClock, Ttl};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let store = MemoryStore::new();
    /// # let (id, hour) = (SessionId::generate(), Ttl::new(std::time::Duration::from_secs(3600)));
    /// # let key = id.key();
    /// # let now = SystemClock.now();
    /// # let record = Record::new(now, now.saturating_add(hour.as_duration()), Payload::new(1, "{}"));
    /// # store.create(&key, &record, hour).await?;
    /// # let (new, moved) = (id.rotated().key(), record.next());
    /// # store.rotate(session_store::Rotation::new(&key, &new, &moved, hour)).await?;
    /// let late = record.next();
    /// assert_eq!(store.update(Update::new(&key, &late, hour)).await?, Updated::Moved);
    /// // It follows, and finds the record that the rotation wrote: to be merged with.
    /// let answer = store.update(Update::new(&key, &late, hour).following()).await?;
    /// assert!(matches!(answer, Updated::Stale(present) if present == moved));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn following(self) -> Self {
        Self { follow: true, ..self }
    }
}

/// The input of [`SessionStore::touch`]; [`new`](Self::new) has an example.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Touch<'a> {
    /// The session's key.
    pub key: &'a SessionKey,
    /// The revision that the session must have.
    pub expected: Revision,
    /// The session's end, as far as the caller knows.
    pub known_end: Timestamp,
    /// Its new end.
    pub expires_at: Timestamp,
    /// Its new time to live.
    pub ttl: Ttl,
}

impl<'a> Touch<'a> {
    /// Makes a touch of the session under `key`, which was loaded as `known`.
    ///
    /// ```
    /// use session_store::{SessionStore, Touch};
    ///
    /// # use session_store::{Clock, MemoryStore, Payload, Record, SessionId, SystemClock, Ttl};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let store = MemoryStore::new();
    /// # let (id, hour) = (SessionId::generate(), Ttl::new(std::time::Duration::from_secs(3600)));
    /// # let key = id.key();
    /// # let now = SystemClock.now();
    /// # let record = Record::new(now, now.saturating_add(hour.as_duration()), Payload::new(1, "{}"));
    /// # store.create(&key, &record, hour).await?;
    /// let later = record.expires_at.saturating_add(hour.as_duration());
    /// assert!(store.touch(Touch::new(&key, &record, later, hour)).await?);
    /// // Another request that had loaded the session before does not write once more.
    /// assert!(!store.touch(Touch::new(&key, &record, later, hour)).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(key: &'a SessionKey, known: &Record, expires_at: Timestamp, ttl: Ttl) -> Self {
        Self { key, expected: known.revision, known_end: known.expires_at, expires_at, ttl }
    }
}

/// The input of [`SessionStore::rotate`]; [`new`](Self::new) has an example.
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
    /// Makes a rotation of the session under `old` to `new`.
    ///
    /// ```
    /// use session_store::{Loaded, Rotation, SessionStore, Updated};
    ///
    /// # use session_store::{Clock, MemoryStore, Payload, Record, SessionId, SystemClock, Ttl};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let store = MemoryStore::new();
    /// # let (id, hour) = (SessionId::generate(), Ttl::new(std::time::Duration::from_secs(3600)));
    /// # let key = id.key();
    /// # let now = SystemClock.now();
    /// # let record = Record::new(now, now.saturating_add(hour.as_duration()), Payload::new(1, "{}"));
    /// # store.create(&key, &record, hour).await?;
    /// // A sign-in: the session goes on under another id.
    /// let (new, signed_in) = (id.rotated().key(), record.next());
    /// let rotation = Rotation::new(&key, &new, &signed_in, hour);
    /// assert_eq!(rotation.expected(), record.revision);
    /// assert_eq!(store.rotate(rotation).await?, Updated::Updated);
    /// // The old id opens nothing, and does not tell the new one.
    /// assert_eq!(store.load(&key).await?, Loaded::Moved);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(old: &'a SessionKey, new: &'a SessionKey, record: &'a Record, ttl: Ttl) -> Self {
        Self { old, new, record, ttl }
    }

    /// The revision that the session must have: the record's previous one. A record without one replaces
    /// nothing. See the example of [`new`](Self::new).
    pub fn expected(&self) -> Revision {
        self.record.replaces()
    }
}

/// The answer of [`SessionStore::load`].
///
/// ```
/// use session_store::{Error, Loaded, Record, SessionKey, SessionStore};
///
/// async fn present(store: &dyn SessionStore, key: &SessionKey) -> Result<Option<Record>, Error> {
///     Ok(match store.load(key).await? {
///         Loaded::Found(record) => Some(record),
///         // To follow a session to its new id would be session fixation.
///         _ => None,
///     })
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is a session, mostly, and a box would be allocated for each"
)]
#[non_exhaustive]
pub enum Loaded {
    /// The session.
    Found(Record),
    /// The session has a new id. A load does not tell which.
    Moved,
    /// Nothing, or a session that has expired.
    Absent,
}

/// The outcome of [`SessionStore::create`]; the [trait](SessionStore) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// The session is stored.
    Created,
    /// Something else is stored under the key; it was left as it is.
    Taken,
}

/// The outcome of [`SessionStore::update`] or [`SessionStore::rotate`].
///
/// ```
/// use session_store::{Error, Record, SessionKey, SessionStore, Ttl, Update, Updated};
///
/// /// Sets a label, on top of whatever is stored.
/// async fn label(store: &dyn SessionStore, key: &SessionKey, mut seen: Record, ttl: Ttl) -> Result<bool, Error> {
///     loop {
///         let mut labelled = seen.next();
///         labelled.label = session_store::Label::truncated("laptop");
///         match store.update(Update::new(key, &labelled, ttl)).await? {
///             Updated::Updated => return Ok(true),
///             Updated::Stale(present) => seen = present,
///             _ => return Ok(false),
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Updated {
    /// The write took effect.
    Updated,
    /// Another write came first. This is its record, so that merging takes no second read.
    Stale(Record),
    /// There is no such session, or no longer.
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

            fn history(&self) -> Option<&dyn History> {
                (**self).history()
            }

            fn status(&self) -> StoreStatus {
                (**self).status()
            }
        }
    )*};
}

forward!(Arc<S>, Box<S>);

//! How sessions are kept in Redis: under which names, and in which form.
//!
//! Each layout is a folder here. What stands outside of it works with any of them, by [`Layout`], a plain store, for
//! what is done to one session, and by [`Keyspace`] for what a scan and the index of owners have to know of keys.

#[cfg(feature = "express")]
pub(crate) mod express;
#[cfg(feature = "express")]
mod migrating;
mod native;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::native::Native;
use super::connection::Connections;
use super::failure::Failure;
use super::name::{self, Prefix, Slot};
use super::redis_scan::reading::{Reader, Reading};
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::record::OwnerHash;
use crate::store::record_limit::RecordLimit;
use crate::store::{Created, Loaded, SessionStore};

/// A form in which sessions are kept, or two while they move from one to the other: a store without an index of
/// owners and without a scan, which are the same for all of them.
#[async_trait]
pub(super) trait Layout: SessionStore {
    /// Where its sessions are, in the order in which a scan goes through them: one that moves while it is under
    /// way moves from the first to the second.
    fn keyspaces(&self) -> Vec<Arc<dyn Keyspace>>;

    /// A load that besides tells how long the server keeps what it found, if it tells.
    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error>;

    /// Where a renewal moved the session of `key`, while its marker is there.
    async fn successor(&self, key: &SessionKey) -> Result<Option<SessionKey>, Error>;

    /// The same under another prefix, on the same connections.
    fn with_prefix(&self, prefix: String, limit: RecordLimit) -> Result<Box<dyn Layout>, Error>;

    /// The key of a new session of this id.
    fn key(&self, id: &SessionId) -> SessionKey {
        id.key()
    }

    /// What an operator should know of the records that were read so far.
    fn warning(&self) -> Option<&'static str> {
        None
    }
}

/// The keys of one layout: what they are called, and how what is under them is read.
#[async_trait]
pub(super) trait Keyspace: fmt::Debug + Send + Sync {
    /// What the text of a cursor calls it.
    fn letter(&self) -> char;

    fn prefix(&self) -> &Prefix;

    /// What a session's name looks like behind the prefix, for `MATCH`. It may let through what
    /// [`session`](Self::session) does not.
    fn pattern(&self) -> &'static str;

    /// The session of the name that this is behind the prefix, if it can be one.
    fn session(&self, name: &str) -> Option<SessionKey>;

    /// What the value of a session begins with.
    fn first_byte(&self) -> u8;

    /// What the records under these keys say of themselves, in the order of the keys.
    async fn read(&self, reader: &Reader<'_>, keys: &[Named]) -> Result<Vec<Reading>, Failure>;

    /// What a key of an owner is called, such as that of the index, `owner`, around the hash of the owner: what stands
    /// before the braces of the hash tag, and what in it. Owners are hashed, as their names, mail addresses at times, are
    /// nothing for `KEYS` or `MONITOR`.
    fn owners_key(&self, what: &str) -> (String, String);

    /// What the index of owners calls a session.
    fn entry_name<'k>(&self, key: &'k SessionKey) -> &'k str;

    /// The session that the index of owners calls so.
    fn entry_key(&self, name: &str) -> Option<SessionKey>;

    /// How long the entry of a session that was written lasts at least.
    fn least_entry_life(&self) -> Duration {
        Duration::ZERO
    }
}

/// The key of a session, and what it is called in Redis.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: Vec<u8>,
    pub(super) key: SessionKey,
}

impl AsRef<[u8]> for Named {
    fn as_ref(&self) -> &[u8] {
        &self.name
    }
}

impl dyn Keyspace + '_ {
    /// What the names of sessions look like, for `MATCH`.
    pub(super) fn glob(&self) -> String {
        name::escaped(self.prefix().as_str()) + self.pattern()
    }

    /// The key of an owner that is called so, and its slot.
    pub(super) fn owner_key(&self, what: &str, owner: OwnerHash) -> (String, Slot) {
        let (before, tag) = self.owners_key(what);
        let tag = format!("{tag}{owner}");
        (format!("{before}{{{tag}}}"), name::slot(tag.as_bytes()))
    }

    /// What the keys of all owners that are called so look like, for `MATCH`.
    pub(super) fn owners_glob(&self, what: &str) -> String {
        let (before, tag) = self.owners_key(what);
        format!("{}{{{}*}}", name::escaped(&before), name::escaped(&tag))
    }

    /// The owner whose key that is called so has this name, if it is one's.
    pub(super) fn owner_named(&self, what: &str, name: &[u8]) -> Option<OwnerHash> {
        let (before, tag) = self.owners_key(what);
        let rest = std::str::from_utf8(name).ok()?.strip_prefix(&before)?;
        OwnerHash::parse(rest.strip_prefix('{')?.strip_suffix('}')?.strip_prefix(&tag)?)
    }

    /// The session of this name, if it can be one.
    pub(super) fn named(&self, name: &[u8]) -> Option<Named> {
        let rest = name.strip_prefix(self.prefix().as_str().as_bytes())?;
        let key = self.session(std::str::from_utf8(rest).ok()?)?;
        Some(Named { name: name.to_owned(), key })
    }
}

/// The form in which a [`RedisStore`](crate::RedisStore) keeps sessions: this crate's own by default, or another one set
/// by [`RedisStoreBuilder::layout`](crate::RedisStoreBuilder::layout).
///
/// With the feature `express` there are layouts for a service that moves from express-session and connect-redis, one
/// for each step of the move, as the page `moving_from_express` describes.
///
/// ```no_run
/// # async fn example() -> Result<(), session_store::Error> {
/// use session_store::{RedisLayout, RedisStore};
///
/// let builder = RedisStore::builder("redis://127.0.0.1");
/// let store = builder.layout(RedisLayout::default()).connect().await?;
/// # Ok(())
/// # }
/// ```
pub struct RedisLayout {
    name: &'static str,
    build: Build,
}

/// What a layout is made of.
pub(super) struct Base {
    pub(super) prefix: Prefix,
    pub(super) limit: RecordLimit,
    pub(super) connections: Arc<Connections>,
    /// Whether a script compares, also where the server can.
    pub(super) compare_by_script: bool,
}

type Build = Box<dyn FnOnce(Base) -> Box<dyn Layout> + Send + Sync>;

impl RedisLayout {
    /// This crate's own layout, the default: a compact record, under a hash of the session's id. See the example of
    /// [`RedisStoreBuilder::layout`](crate::RedisStoreBuilder::layout).
    #[must_use]
    pub fn native() -> Self {
        Self::new("native", |base| Box::new(Native::new(base)))
    }

    fn new(name: &'static str, build: impl FnOnce(Base) -> Box<dyn Layout> + Send + Sync + 'static) -> Self {
        Self { name, build: Box::new(build) }
    }

    pub(super) fn build(self, base: Base) -> Box<dyn Layout> {
        (self.build)(base)
    }
}

impl Default for RedisLayout {
    fn default() -> Self {
        Self::native()
    }
}

impl fmt::Debug for RedisLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisLayout({})", self.name)
    }
}

/// When a session was made.
enum Made {
    Now,
    /// By the same write, which was sent before.
    Before,
    /// Something else has its key.
    Not,
}

impl From<Made> for Created {
    fn from(made: Made) -> Self {
        match made {
            Made::Now | Made::Before => Self::Created,
            Made::Not => Self::Taken,
        }
    }
}

const NO_STRING: &str = "it is not a string";

fn in_use() -> Error {
    Error::Refused { message: "the new key of a rotation is in use".to_owned() }
}

#[cfg(test)]
mod tests;

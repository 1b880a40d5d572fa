//! `RedisStore`: the operations of [`SessionStore`], written once for every topology.

mod builder;
pub mod checkup;
mod complaint;
mod connection;
mod copied;
mod failure;
pub(crate) mod layout;
mod name;
mod namespace;
mod redis_feed;
mod redis_history;
mod redis_owner_index;
mod redis_scan;
mod script;
mod server_info;
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "what TLS needs is read and refused"))]
pub(crate) mod target;
#[cfg_attr(
    not(feature = "json"),
    allow(dead_code, unused_imports, reason = "the environment is read by the engine")
)]
pub(crate) mod url;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::ErrorKind;

use self::checkup::Entrance;
use self::connection::Connections;
use self::copied::Copied;
use self::failure::{Effect, Failure};
use self::layout::{Keyspace, Layout};
use self::namespace::Common;
use self::redis_feed::StoreFeed;
use self::redis_owner_index::Indexes;
use self::redis_scan::Masters;
use super::feed::Feed;
use super::history::History;
use super::owner_index::OwnerIndex;
use super::record_limit::RecordLimit;
use super::scan::Scan;
use super::status::StoreStatus;
use super::{Created, Loaded, Requirements, Rotation, SessionStore, Touch, Update, Updated};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::ttl::Ttl;

pub use self::builder::RedisStoreBuilder;
#[cfg(all(fuzzing, feature = "express"))]
pub(crate) use self::redis_scan::reread_cursor;

/// Keeps sessions in Redis: they outlive the process, and all instances of a service share them.
///
/// A session is one string under `session:{lineage}:digest`, with a time to live. Each owner of sessions
/// has an index of them under `session:owner:{hash}` that lasts as long as the last of them; in a cluster
/// it may be on another master than the sessions. A history, where one is kept, is beside the index, a list under
/// `session:history:{hash}`. Loading a session is one `GETRANGE`, creating it one `SET` with `NX`,
/// and everything else one Lua script (`EVALSHA`), which Redis runs as one atomic step. Redis from 8.4 and Valkey from 8.1
/// on can compare without a script: there an update is one `SET` with `IFEQ`, and a script only if something has changed
/// since the load. (The feature `express` adds the layout of connect-redis.) Redis 6 or newer (tested with 7.0): one
/// server, a master watched by sentinels, or a Redis Cluster; [`builder`](Self::builder) lists how a URL names them.
///
/// # Connections
///
/// All operations share one connection to a server. When it breaks, or three operations in a row get
/// no answer, a background task makes another: it tries again after 50 ms, then ever less often, down to
/// every 0.8 seconds. Where the server closed the connection, operations wait for the next one within their
/// own timeout, at most 10,000 at a time. While the server is known to be away, because it let operations
/// time out or the last attempt to connect failed, they fail at once.
///
/// Commands sent on a connection that broke are sent again if that does no harm: reads, and writes that
/// recognise whether they took effect the first time. A write whose outcome stays unknown fails with
/// `outcome_unknown`; a create is never sent again under the same key, nor is a write that
/// [waits for replicas](RedisStoreBuilder::wait_for_replicas).
///
/// A server that became a replica refuses only writes. A new master is noticed as soon as a sentinel or
/// a node of the cluster tells; a cluster's other masters are not affected. All of that runs on the tokio
/// runtime that used the store first. When that has ended, the next operation moves the store to its own, so
/// a store in a `static` works in one `#[tokio::test]` after another. [`status`](SessionStore::status) tells the state.
///
/// A store has its own connections and cannot share the application's `redis` client: it could neither replace such a
/// connection, nor log in again, nor keep a blocking command of the application from delaying sessions. Give both the
/// same URL: that costs one more connection to each server, and about 20 kB of its memory.
///
/// # Permissions
///
/// A user with an ACL needs `+set +getrange +setrange +pexpire +del +eval +evalsha` on the
/// prefix's keys; `+select` for a database other than 0; `+cluster|slots +cluster|info +asking` in a
/// cluster; `+role` behind sentinels, and there `+subscribe +sentinel|master
/// +sentinel|get-master-addr-by-name` with all channels; `+wait` to
/// [wait for replicas](RedisStoreBuilder::wait_for_replicas).
///
/// The index of owners, which is used from the first sign-in on, also takes
/// `+time +zadd +zcount +zrange +zrangebyscore +zrank +zrem +zrevrangebyscore +zscore +pexpireat`, on keys that
/// begin with the prefix too. [`checkup`](Self::checkup) tries all of that out.
///
/// Waiting for a session's end (`ended` of a session or a manager) takes `+client|tracking +ping`; without them such
/// sessions are looked at every five seconds. A [near cache](RedisStoreBuilder::near_cache) takes
/// `+client|tracking +role +pttl`.
///
/// [Histories](crate::SessionManagerBuilder::history) take `+llen +lpush +lrange +ltrim`, on keys that begin with the
/// prefix, and going through all of them `+scan +info`; in a cluster as below.
///
/// Going through all sessions (a manager's `count_sessions`, `sessions`, `revoke_everyone`, `tidy` and `usage`) also takes
/// `+scan +strlen +dbsize +info +memory|usage`; in a cluster `+cluster|nodes`, and
/// `+cluster|getkeysinslot` for slots that are migrating; nothing else does. `SCAN` shows such a user the names of all
/// keys of the database, other services' included; this crate's key names contain no secrets.
///
/// # Several services in one Redis
///
/// Each has its own [prefix](RedisStoreBuilder::prefix). One service's sessions can't be read, counted or cleared
/// by another, even if one prefix begins like another, or has characters that are wildcards in a pattern of Redis.
///
/// # Errors
///
/// [`Error::Unavailable`] if Redis can't be reached, does not answer within the
/// [timeout](RedisStoreBuilder::timeout) or cannot serve at the moment (`LOADING`, `READONLY`,
/// `BUSY` …). [`Error::Refused`] if it rejects the operation (`OOM`, `NOAUTH`, `NOPERM` …). [`Error::Corrupt`]
/// and [`Error::NewerFormat`] for a value that is not a session of this version: only
/// [`delete`](SessionStore::delete) changes it.
///
/// A value longer than 2 MiB, or than twice the
/// [`max_payload`](crate::SessionManagerBuilder::max_payload) of the store's manager if that is more, is
/// not read into memory: it is an [`Error::Corrupt`], and writing one an [`Error::TooLarge`]. In the
/// layout of Express the limit is 1 MB.
///
/// ```no_run
/// use session_store::RedisStore;
///
/// # async fn example() -> Result<(), session_store::Error> {
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisStore {
    layout: Box<dyn Layout>,
    keyspaces: Arc<[Arc<dyn Keyspace>]>,
    owners: Indexes,
    #[cfg_attr(not(feature = "json"), allow(dead_code, reason = "the manager raises it"))]
    limit: RecordLimit,
    connections: Arc<Connections>,
    masters: Arc<Masters>,
    feed: StoreFeed,
    copied: Copied,
    entrance: Entrance,
}

impl RedisStore {
    fn new(layout: Box<dyn Layout>, limit: RecordLimit, common: Common) -> Self {
        let Common { connections, masters, feed, entrance } = common;
        let keyspaces: Arc<[_]> = layout.keyspaces().into();
        let owners = Indexes::new(&keyspaces, &connections);
        let feed = StoreFeed::new(&feed, &keyspaces);
        let copied = Copied::default();
        Self { layout, keyspaces, owners, limit, connections, masters, feed, copied, entrance }
    }

    /// The layout itself: called on the `Box`, which is a store too, an operation would be boxed twice.
    fn layout(&self) -> &dyn Layout {
        &*self.layout
    }

    /// The default of [`prefix`](RedisStoreBuilder::prefix).
    pub const DEFAULT_PREFIX: &str = "session:";
    /// The default of [`timeout`](RedisStoreBuilder::timeout).
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

    /// Connects to the servers that `url` names, with default settings; its forms are listed at
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// Those of [`RedisStoreBuilder::connect`].
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// // A cluster, over TLS, by two of its nodes.
    /// let store = RedisStore::connect("rediss-cluster://sessions:secret@node1.internal,node2.internal").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }
}

/// What a layout answers, passed on as it is: an `async fn` would put the future into another box.
type Answer<'f, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'f>>;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for RedisStore {
    fn load<'s, 'k, 'f>(&'s self, key: &'k SessionKey) -> Answer<'f, Loaded>
    where
        Self: 'f,
        's: 'f,
        'k: 'f,
    {
        self.copied.load(self, key)
    }

    fn load_fresh<'s, 'k, 'f>(&'s self, key: &'k SessionKey) -> Answer<'f, Loaded>
    where
        Self: 'f,
        's: 'f,
        'k: 'f,
    {
        self.copied.load_fresh(self, key)
    }

    fn create<'s, 'k, 'r, 'f>(
        &'s self,
        key: &'k SessionKey,
        record: &'r Record,
        ttl: Ttl,
    ) -> Answer<'f, Created>
    where
        Self: 'f,
        's: 'f,
        'k: 'f,
        'r: 'f,
    {
        self.copied.during(self, key, self.layout().create(key, record, ttl))
    }

    fn update<'s, 'u, 'f>(&'s self, update: Update<'u>) -> Answer<'f, Updated>
    where
        Self: 'f,
        's: 'f,
        'u: 'f,
    {
        self.copied.during(self, update.key, self.layout().update(update))
    }

    fn touch<'s, 't, 'f>(&'s self, touch: Touch<'t>) -> Answer<'f, bool>
    where
        Self: 'f,
        's: 'f,
        't: 'f,
    {
        self.copied.during(self, touch.key, self.layout().touch(touch))
    }

    fn rotate<'s, 'r, 'f>(&'s self, rotation: Rotation<'r>) -> Answer<'f, Updated>
    where
        Self: 'f,
        's: 'f,
        'r: 'f,
    {
        self.copied.during(self, rotation.old, self.layout().rotate(rotation))
    }

    fn delete<'s, 'k, 'f>(&'s self, key: &'k SessionKey) -> Answer<'f, bool>
    where
        Self: 'f,
        's: 'f,
        'k: 'f,
    {
        self.copied.during(self, key, self.layout().delete(key))
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
        self.copied.add_to(self.connections.status(), self)
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            #[cfg(any(feature = "memory", feature = "json"))]
            home: Some(self.connections.home().clone()),
            #[cfg(feature = "json")]
            record_limit: Some(self.limit.clone()),
            #[cfg(feature = "json")]
            oldest_copy: self.copied.oldest(),
            ..self.layout().requirements()
        }
    }
}

fn unexpected(effect: Effect) -> Error {
    let error = (ErrorKind::UnexpectedReturnType, "an unexpected type of reply");
    Failure::Redis(error.into()).into_error(effect)
}

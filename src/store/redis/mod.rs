//! `RedisStore`: the operations of [`SessionStore`], written once for every topology.

mod builder;
mod connection;
mod failure;
mod layout;
mod scripts;
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "what TLS needs is read and refused"))]
pub(crate) mod target;
#[cfg_attr(
    not(feature = "json"),
    allow(dead_code, unused_imports, reason = "the environment is read by the engine")
)]
pub(crate) mod url;

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, ErrorKind, ToRedisArgs, Value};

use self::connection::{Connection, Connections, Way};
use self::failure::{Effect, Failure};
use self::layout::Layout;
use self::scripts::Script;
use super::{Created, Loaded, Rotation, SessionStore, Updated};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, MOVED_FORMAT, Moved, RECORD_FORMAT, Record, Revision};
use crate::ttl::Ttl;

pub use self::builder::RedisStoreBuilder;
pub use self::connection::{Health, Topology};

/// Keeps sessions in Redis: they outlive the process, and all instances of a service share them.
///
/// A session is one string under `session:{lineage}:digest`, with a time to live. Loading it is one
/// `GET`, creating it one `SET` with `NX`, and everything else one Lua script (`EVALSHA`), which
/// Redis runs as one atomic step. Redis 6 or newer (tested with 7.0): one server, a master that
/// sentinels watch, or a Redis Cluster; [`builder`](Self::builder) lists how a URL names them.
///
/// # Connections
///
/// All operations share one connection to a server. When it breaks, or three operations in a row get
/// no answer, a background task makes another, and operations fail at once in the meantime: the task
/// tries again after 50 ms, then ever less often, down to every 0.8 seconds. Only writes are refused
/// by a server that became a replica. A new master is noticed as soon as a sentinel or a node of the
/// cluster tells; a cluster's other masters are not affected. All of that runs on the tokio runtime
/// that the store is used on, so that must keep running. [`health`](Self::health) tells how it is.
///
/// # Permissions
///
/// A user with an ACL needs `+get +set +getrange +setrange +pexpire +del +eval +evalsha` on the
/// prefix's keys; `+select` for a database other than 0; `+cluster|slots +cluster|info +asking` in a
/// cluster; `+role` behind sentinels, and there `+subscribe +sentinel|master
/// +sentinel|get-master-addr-by-name` with all channels; `+wait` to
/// [wait for replicas](RedisStoreBuilder::wait_for_replicas).
///
/// # Errors
///
/// [`Error::Unavailable`] where Redis can't be reached, does not answer within the
/// [timeout](RedisStoreBuilder::timeout) or cannot serve at the moment (`LOADING`, `READONLY`,
/// `BUSY` …). [`Error::Refused`] where it says no (`OOM`, `NOAUTH`, `NOPERM` …). [`Error::Corrupt`]
/// and [`Error::NewerFormat`] for a value that is not a session of this version: nothing but
/// [`delete`](SessionStore::delete) changes it.
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
    layout: Layout,
    connections: Connections,
}

impl RedisStore {
    /// What keys begin with unless told otherwise.
    pub const DEFAULT_PREFIX: &str = "session:";
    /// How long an operation may take unless told otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

    /// Connects to the servers that `url` names, with default settings; its forms are listed at
    /// [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// Those of [`RedisStoreBuilder::connect`].
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }

    /// How the store is connected, as far as is known without asking a server: for health checks
    /// and dashboards.
    pub fn health(&self) -> Health {
        self.connections.health()
    }

    fn get(&self, key: &SessionKey) -> Cmd {
        let mut get = Cmd::with_capacity(2, 64);
        get.arg("GET").arg(self.layout.name(key));
        get
    }

    /// Runs a script by its hash, and by its code if the server does not know it yet.
    async fn eval(
        &self,
        key: &SessionKey,
        way: Way,
        script: &Script,
        keys: impl ToRedisArgs + Send + Sync,
        arguments: impl ToRedisArgs + Send + Sync,
    ) -> Result<Value, Error> {
        let operation = async |mut connection: Connection| match connection
            .send(&script.by_hash(&keys, &arguments))
            .await
        {
            Err(failure) if failure.is_unknown_script() => {
                connection.send(&script.by_code(&keys, &arguments)).await
            }
            reply => reply,
        };
        let reply = self.connections.run(self.layout.name(key).slot(), way, operation).await;
        reply.map_err(|failure| into_error(key, failure, Effect::Write))
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let get = self.get(key);
        let operation = async |mut connection: Connection| connection.send(&get).await;
        let reply = self.connections.run(self.layout.name(key).slot(), Way::Shared, operation).await;
        match reply.map_err(|failure| into_error(key, failure, Effect::Read))? {
            Value::Nil => Ok(Loaded::Absent),
            Value::BulkString(bytes) => Ok(match Envelope::from_bytes(key, bytes.into())? {
                Envelope::Record(record) => Loaded::Found(record),
                Envelope::Moved(_) => Loaded::Moved,
            }),
            _ => Err(unexpected(Effect::Read)),
        }
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        let bytes = record.to_bytes();
        let mut set = Cmd::with_capacity(6, 96 + bytes.len());
        set.arg("SET").arg(self.layout.name(key)).arg(bytes).arg("NX").arg("PX").arg(ttl.as_millis());
        let get = self.get(key);
        let way = if record.owner.is_some() { Way::Durable } else { Way::Shared };
        let operation = async |mut connection: Connection| match connection.send(&set).await? {
            Value::Nil => connection.send(&get).await,
            reply => Ok(reply),
        };
        let reply = match self.connections.run(self.layout.name(key).slot(), way, operation).await {
            Err(failure) if failure.is_wrong_type() => return Ok(Created::Taken),
            reply => reply.map_err(|failure| failure.into_error(Effect::Write))?,
        };
        let is_ours = match reply {
            Value::Okay => true,
            Value::BulkString(bytes) => {
                Envelope::from_bytes(key, bytes.into()).is_ok_and(|held| held.bears(record.revision))
            }
            // It ended between the two commands.
            _ => false,
        };
        Ok(if is_ours { Created::Created } else { Created::Taken })
    }

    async fn update(
        &self,
        key: &SessionKey,
        expected: Revision,
        record: &Record,
        ttl: Ttl,
    ) -> Result<Updated, Error> {
        let arguments = (&expected.to_bytes(), record.to_bytes(), ttl.as_millis());
        let reply =
            self.eval(key, Way::Shared, &scripts::UPDATE, (self.layout.name(key),), arguments).await?;
        updated(key, reply)
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
        ttl: Ttl,
    ) -> Result<bool, Error> {
        let end = expires_at.as_millis().to_be_bytes();
        let arguments = (&expected.to_bytes(), &end, ttl.as_millis());
        match self.eval(key, Way::Shared, &scripts::TOUCH, (self.layout.name(key),), arguments).await? {
            Value::Int(touched) => Ok(touched == 1),
            Value::BulkString(head) => match head.first() {
                None | Some(&RECORD_FORMAT | &MOVED_FORMAT) => Ok(false),
                Some(_) => Envelope::from_bytes(key, head.into()).map(|_| false),
            },
            _ => Err(unexpected(Effect::Write)),
        }
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let Rotation { old, expected, new, record, ttl } = rotation;
        let keys = (self.layout.name(old), self.layout.name(new));
        let marker = Moved::new(*new, record, expected).to_bytes();
        let arguments =
            (&expected.to_bytes(), record.to_bytes(), ttl.as_millis(), marker, Moved::ttl(ttl).as_millis());
        match self.eval(old, Way::Durable, &scripts::ROTATE, keys, arguments).await? {
            Value::Int(_) => {
                Err(Error::Refused { message: "the new key of a rotation is in use".to_owned() })
            }
            reply => updated(old, reply),
        }
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        match self
            .eval(key, Way::Durable, &scripts::DELETE, (self.layout.name(key),), (self.layout.prefix(),))
            .await?
        {
            Value::Int(deleted) => Ok(deleted > 0),
            _ => Err(unexpected(Effect::Write)),
        }
    }
}

/// The answer of [`scripts::UPDATE`]: OK, nil, or what is there instead.
fn updated(key: &SessionKey, reply: Value) -> Result<Updated, Error> {
    match reply {
        Value::Okay => Ok(Updated::Updated),
        Value::Nil => Ok(Updated::Missing),
        Value::BulkString(bytes) => Ok(match Envelope::from_bytes(key, bytes.into())? {
            Envelope::Record(record) => Updated::Stale(record),
            Envelope::Moved(_) => Updated::Moved,
        }),
        _ => Err(unexpected(Effect::Write)),
    }
}

fn into_error(key: &SessionKey, failure: Failure, effect: Effect) -> Error {
    if failure.is_wrong_type() {
        return Error::Corrupt { key: *key, reason: "it is not a string" };
    }
    failure.into_error(effect)
}

fn unexpected(effect: Effect) -> Error {
    let error = (ErrorKind::UnexpectedReturnType, "an unexpected type of reply");
    Failure::Redis(error.into()).into_error(effect)
}

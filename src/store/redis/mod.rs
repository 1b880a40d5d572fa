//! `RedisStore`: the operations of [`SessionStore`], written once for every topology.

mod connection;
mod failure;
mod layout;
mod scripts;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, ToRedisArgs, Value};

use self::connection::{Connection, Standalone, Supervisor};
use self::failure::{Effect, Failure};
use self::layout::Layout;
use self::scripts::Script;
use super::{Created, Loaded, Rotation, SessionStore, Updated};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, MOVED_FORMAT, Moved, RECORD_FORMAT, Record, Revision};
use crate::ttl::Ttl;

/// Keeps sessions in Redis: they outlive the process, and all instances of a service share them.
///
/// A session is one string under `session:{lineage}:digest`, with a time to live. Loading it is one
/// `GET`, creating it one `SET` with `NX`, and everything else one Lua script (`EVALSHA`), which
/// Redis runs as one atomic step. Redis 6 or newer (tested with 7.0); a user with an ACL needs
/// `+get +set +getrange +setrange +pexpire +del +eval +evalsha` on the prefix's keys, and `+select`
/// for a database other than 0.
///
/// All operations share one connection. When it breaks or stops answering, a background task makes
/// another, and operations fail at once in the meantime: the task tries again after 50 ms, then
/// ever less often, down to every 2 seconds. Only writes are refused by a server that became a
/// replica. Both run on the tokio runtime that the store is used on, so that must keep running.
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
    connection: Supervisor,
}

/// Settings of a [`RedisStore`]; made by [`RedisStore::builder`].
///
/// ```no_run
/// use session_store::RedisStore;
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), session_store::Error> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379/2")
///     .prefix("myapp:")
///     .timeout(Duration::from_millis(250))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct RedisStoreBuilder {
    url: String,
    prefix: String,
    timeout: Duration,
}

impl RedisStore {
    /// What keys begin with unless told otherwise.
    pub const DEFAULT_PREFIX: &str = "session:";
    /// How long an operation may take unless told otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

    /// Connects to the server that `url` names, `redis://[[user]:password@]host[:port][/database]`
    /// or `unix:///path/to/socket`, with default settings.
    ///
    /// # Errors
    ///
    /// Those of [`RedisStoreBuilder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder(url).connect().await
    }

    /// Settings for the server that `url` names; see [`connect`](Self::connect).
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder {
            url: url.into(),
            prefix: Self::DEFAULT_PREFIX.to_owned(),
            timeout: Self::DEFAULT_TIMEOUT,
        }
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
        script: &Script,
        keys: impl ToRedisArgs + Send + Sync,
        arguments: impl ToRedisArgs + Send + Sync,
    ) -> Result<Value, Error> {
        let operation = async |mut connection: Connection| {
            let reply = send(&mut connection, &script.by_hash(&keys, &arguments)).await;
            let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
            if reply.as_ref().is_err_and(|error| error.kind() == unknown) {
                return send(&mut connection, &script.by_code(&keys, &arguments)).await;
            }
            reply
        };
        self.connection.run(operation).await.map_err(|failure| into_error(key, failure, Effect::Write))
    }
}

impl RedisStoreBuilder {
    /// What the names of the keys begin with, `session:` by default. Braces are refused when
    /// connecting: they are a Redis Cluster hash tag.
    ///
    /// Services that share a Redis database need different prefixes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long an operation may take, connecting included; 500 ms by default, zero is refused when
    /// connecting. A write that takes longer fails with its outcome unknown.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for settings that cannot work, a URL that asks for TLS among them.
    /// [`Error::Unavailable`] if the server can't be reached or does not answer within the timeout,
    /// [`Error::Refused`] if it does not let us in.
    pub async fn connect(self) -> Result<RedisStore, Error> {
        let layout = Layout::new(self.prefix)?;
        if self.timeout.is_zero() {
            return Err(Error::Config("the timeout of a Redis store must be longer than zero".to_owned()));
        }
        let server = Standalone::new(&self.url)?;
        let connected = Supervisor::connect(server, self.timeout).await;
        let connection = connected.map_err(|failure| failure.into_error(Effect::Read))?;
        Ok(RedisStore { layout, connection })
    }
}

impl fmt::Debug for RedisStoreBuilder {
    // The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let get = self.get(key);
        let operation = async |mut connection: Connection| send(&mut connection, &get).await;
        let reply = self.connection.run(operation).await;
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
        let operation = async |mut connection: Connection| match send(&mut connection, &set).await? {
            Value::Nil => send(&mut connection, &get).await,
            reply => Ok(reply),
        };
        let reply = match self.connection.run(operation).await {
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
        let reply = self.eval(key, &scripts::UPDATE, (self.layout.name(key),), arguments).await?;
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
        match self.eval(key, &scripts::TOUCH, (self.layout.name(key),), arguments).await? {
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
        match self.eval(old, &scripts::ROTATE, keys, arguments).await? {
            Value::Int(_) => {
                Err(Error::Refused { message: "the new key of a rotation is in use".to_owned() })
            }
            reply => updated(old, reply),
        }
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        match self.eval(key, &scripts::DELETE, (self.layout.name(key),), (self.layout.prefix(),)).await? {
            Value::Int(deleted) => Ok(deleted > 0),
            _ => Err(unexpected(Effect::Write)),
        }
    }
}

async fn send(connection: &mut Connection, command: &Cmd) -> RedisResult<Value> {
    connection.send_packed_command(command).await?.extract_error()
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

//! The crate's own layout: an envelope under a name that is a hash of the session's id.

pub(super) mod keyspace;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Cmd, ToRedisArgs, Value};

use self::keyspace::NativeKeys;
use super::{Base, Keyspace, Layout, Made, NO_STRING, in_use};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{
    Envelope, LONGEST_HEAD, MARKER_LENGTH, MOVED_FORMAT, Moved, PREVIOUS_REVISION, RECORD_FORMAT, Record,
    Revision,
};
use crate::store::record_limit::RecordLimit;
use crate::store::redis::connection::{Connection, Connections, Durability, Repeat};
use crate::store::redis::failure::{Effect, Failure};
use crate::store::redis::name::Prefix;
use crate::store::redis::script::Script;
use crate::store::redis::unexpected;
use crate::store::{Created, Loaded, Rotation, SessionStore, Touch, Update, Updated};
use crate::ttl::Ttl;

/// A chain of renewals is deleted in so many parts at most: half a million of them.
const MOST_PARTS: usize = 1000;

#[derive(Debug)]
pub(super) struct Native {
    keys: Arc<NativeKeys>,
    limit: RecordLimit,
    connections: Arc<Connections>,
    compare_by_script: bool,
}

#[async_trait]
impl SessionStore for Native {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let limit = self.limit.bytes();
        // One byte more than a record may have tells that it has too many.
        let get = self.get(key, limit);
        let operation = async |mut connection: Connection| connection.send(&get).await;
        let slot = self.prefix().name(key).slot();
        let reply = self.connections.run(slot, Durability::Ordinary, Repeat::Read, operation).await;
        loaded(key, reply.map_err(|failure| into_error(key, failure, Effect::Read))?, limit)
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        Ok(self.make(key, record, ttl).await?.into())
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let (Update { key, record, ttl, follow, replaced }, expected) = (update, update.expected());
        let name = (self.prefix().name(key),);
        let write = (&expected.to_bytes(), self.bytes(record)?, ttl.as_millis(), self.limit.bytes());
        // Where the session is gone, it doesn't matter what the first run did.
        let tells = |reply: &Value| *reply == Value::Nil || tells_of_the_first_run(reply, expected);
        let repeat = Repeat::If(&tells);
        let reply = if follow {
            let arguments = (write, self.prefix().as_str());
            self.eval(key, Durability::Ordinary, repeat, &scripts::UPDATE_FOLLOWING, name, arguments).await?
        } else {
            let operation = async |mut connection: Connection| {
                // What is sent again recognises itself in the script alone. So does a session that was touched.
                if let Some(loaded) = replaced
                    && !self.compare_by_script
                    && connection.sets_if_equal()
                    && !connection.is_again()
                    && let Value::Okay =
                        connection.send(&self.set_if_equal(key, loaded, &write.1, ttl)).await?
                {
                    return Ok(Value::Okay);
                }
                scripts::UPDATE.send(&mut connection, &name, &write).await
            };
            let slot = self.prefix().name(key).slot();
            let reply = self.connections.run(slot, Durability::Ordinary, repeat, operation).await;
            reply.map_err(|failure| into_error(key, failure, Effect::Write))?
        };
        updated(key, reply)
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let Touch { key, expected, known_end, expires_at, ttl } = touch;
        let [known_end, end] = [known_end, expires_at].map(|end| end.as_millis().to_be_bytes());
        let arguments = (&expected.to_bytes(), &end, ttl.as_millis(), &known_end);
        let (name, repeat) = (self.prefix().name(key), Repeat::Write);
        match self.eval(key, Durability::Ordinary, repeat, &scripts::TOUCH, (name,), arguments).await? {
            Value::Int(touched) => Ok(touched == 1),
            Value::BulkString(head) => match head.first() {
                None | Some(&RECORD_FORMAT | &MOVED_FORMAT) => Ok(false),
                Some(_) => Envelope::from_bytes(key, head.into()).map(|_| false),
            },
            _ => Err(unexpected(Effect::Write)),
        }
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let (Rotation { old, new, record, ttl }, expected) = (rotation, rotation.expected());
        let keys = (self.prefix().name(old), self.prefix().name(new));
        let marker = Moved::new(new.clone(), record, expected).to_bytes();
        let write = (&expected.to_bytes(), self.bytes(record)?, ttl.as_millis(), self.limit.bytes());
        let arguments = (write, marker, Moved::ttl(ttl).as_millis());
        let tells = |reply: &Value| tells_of_the_first_run(reply, expected);
        match self
            .eval(old, Durability::Replicated, Repeat::If(&tells), &scripts::ROTATE, keys, arguments)
            .await?
        {
            Value::Int(_) => Err(in_use()),
            reply => updated(old, reply),
        }
    }

    /// Follows a chain of renewals to its end, and deletes that first: what is left of the chain, should this
    /// be cut short, leads to nothing.
    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        let step = async |name: &[u8], stops: bool| {
            let arguments = (self.prefix().as_str(), u8::from(stops));
            self.eval(key, Durability::Replicated, Repeat::Write, &scripts::DELETE, (name,), arguments).await
        };
        let mut parts = vec![self.prefix().name(key).to_redis_args().concat()];
        let mut was_there = false;
        while let Some(part) = parts.last() {
            // More renewals than fit into the life of a marker can only be a circle.
            match step(part, !was_there && parts.len() < MOST_PARTS).await? {
                Value::BulkString(next) => parts.push(next),
                Value::Int(deleted) => {
                    if deleted == 0 && parts.len() == 1 {
                        return Ok(was_there);
                    }
                    was_there = true;
                    parts.pop();
                }
                _ => return Err(unexpected(Effect::Write)),
            }
        }
        Ok(was_there)
    }
}

#[async_trait]
impl Layout for Native {
    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error> {
        let limit = self.limit.bytes();
        let get = self.get(key, limit);
        let mut both = redis::pipe();
        both.add_command(get.clone()).cmd("PTTL").arg(self.prefix().name(key));
        let operation = async |mut connection: Connection| match connection.send_together(&both).await? {
            Some(answers) => Ok(answers),
            None => connection.send(&get).await,
        };
        let slot = self.prefix().name(key).slot();
        let reply = self.connections.run(slot, Durability::Ordinary, Repeat::Read, operation).await;
        let (value, left) = match reply.map_err(|failure| into_error(key, failure, Effect::Read))? {
            Value::Array(answers) => {
                let [value, left] = <[Value; 2]>::try_from(answers).map_err(|_| unexpected(Effect::Read))?;
                let value =
                    value.extract_error().map_err(|error| into_error(key, error.into(), Effect::Read))?;
                (value, left)
            }
            value => (value, Value::Nil),
        };
        let life = match left {
            Value::Int(left) => u64::try_from(left).ok().map(Duration::from_millis),
            // It may not be asked for.
            _ => None,
        };
        Ok((loaded(key, value, limit)?, life))
    }

    async fn successor(&self, key: &SessionKey) -> Result<Option<SessionKey>, Error> {
        let get = self.get(key, MARKER_LENGTH);
        let operation = async |mut connection: Connection| connection.send(&get).await;
        let slot = self.prefix().name(key).slot();
        let reply = self.connections.run(slot, Durability::Ordinary, Repeat::Read, operation).await;
        match reply.map_err(|failure| into_error(key, failure, Effect::Read))? {
            Value::BulkString(bytes) if bytes.first() == Some(&MOVED_FORMAT) => {
                match Envelope::from_bytes(key, bytes.into())? {
                    Envelope::Moved(marker) => Ok(Some(marker.successor)),
                    Envelope::Record(_) => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn keyspaces(&self) -> Vec<Arc<dyn Keyspace>> {
        vec![Arc::<NativeKeys>::clone(&self.keys)]
    }

    fn with_prefix(&self, prefix: String, limit: RecordLimit) -> Result<Box<dyn Layout>, Error> {
        let base = Base {
            prefix: Prefix::new(prefix)?,
            limit,
            connections: Arc::clone(&self.connections),
            compare_by_script: self.compare_by_script,
        };
        Ok(Box::new(Self::new(base)))
    }
}

impl Native {
    pub(super) fn new(base: Base) -> Self {
        let Base { prefix, limit, connections, compare_by_script } = base;
        Self { keys: Arc::new(NativeKeys { prefix }), limit, connections, compare_by_script }
    }

    pub(super) fn prefix(&self) -> &Prefix {
        &self.keys.prefix
    }

    pub(super) async fn make(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Made, Error> {
        let bytes = self.bytes(record)?;
        let mut set = Cmd::with_capacity(6, 96 + bytes.len());
        set.arg("SET").arg(self.prefix().name(key)).arg(bytes).arg("NX").arg("PX").arg(ttl.as_millis());
        // The head tells whose record it is.
        let get = self.get(key, LONGEST_HEAD - 1);
        let durability = if record.owner.is_some() { Durability::Replicated } else { Durability::Ordinary };
        let operation = async |mut connection: Connection| {
            // What was sent before may take effect late, even after the session was ended: it is looked for,
            // and not sent again.
            if connection.is_again() {
                return connection.send(&get).await;
            }
            match connection.send(&set).await? {
                Value::Nil => connection.send(&get).await,
                reply => Ok(reply),
            }
        };
        let bears_it =
            |bytes: Bytes| Envelope::from_bytes(key, bytes).is_ok_and(|it| it.bears(record.revision));
        let is_there = |reply: &Value| match reply {
            Value::BulkString(bytes) => bears_it(Bytes::copy_from_slice(bytes)),
            _ => false,
        };
        let slot = self.prefix().name(key).slot();
        let reply = match self.connections.run(slot, durability, Repeat::If(&is_there), operation).await {
            Err(failure) if failure.is_wrong_type() => return Ok(Made::Not),
            reply => reply.map_err(|failure| failure.into_error(Effect::Write))?,
        };
        let is_ours = match reply {
            Value::Okay => return Ok(Made::Now),
            Value::BulkString(bytes) => bears_it(bytes.into()),
            // It ended between the two commands.
            _ => false,
        };
        Ok(if is_ours { Made::Before } else { Made::Not })
    }

    /// The record's bytes, if they can be read again.
    pub(super) fn bytes(&self, record: &Record) -> Result<Vec<u8>, Error> {
        let (bytes, limit) = (record.to_bytes(), self.limit.bytes());
        if bytes.len() > limit {
            return Err(Error::TooLarge { what: "the session's record", size: bytes.len(), limit });
        }
        Ok(bytes)
    }

    /// Writes `bytes` in the place of `loaded`, if that is there, byte for byte.
    fn set_if_equal(&self, key: &SessionKey, loaded: &Record, bytes: &[u8], ttl: Ttl) -> Cmd {
        let loaded = loaded.to_bytes();
        let mut set = Cmd::with_capacity(7, 128 + loaded.len() + bytes.len());
        set.arg("SET").arg(self.prefix().name(key)).arg(bytes).arg("IFEQ").arg(loaded);
        set.arg("PX").arg(ttl.as_millis());
        set
    }

    /// Asks for what is under `key`, up to and including the byte at `last`.
    fn get(&self, key: &SessionKey, last: usize) -> Cmd {
        let mut get = Cmd::with_capacity(4, 96);
        get.arg("GETRANGE").arg(self.prefix().name(key)).arg(0).arg(last);
        get
    }

    async fn eval(
        &self,
        key: &SessionKey,
        durability: Durability,
        repeat: Repeat<'_>,
        script: &Script,
        keys: impl ToRedisArgs + Send + Sync,
        arguments: impl ToRedisArgs + Send + Sync,
    ) -> Result<Value, Error> {
        let slot = self.prefix().name(key).slot();
        let reply = script.run(&self.connections, slot, durability, repeat, keys, arguments).await;
        reply.map_err(|failure| into_error(key, failure, Effect::Write))
    }
}

/// What a session's bytes say, of which those at `limit` and after it are too many.
fn loaded(key: &SessionKey, reply: Value, limit: usize) -> Result<Loaded, Error> {
    match reply {
        Value::BulkString(bytes) if bytes.is_empty() => Ok(Loaded::Absent),
        Value::BulkString(bytes) if bytes.len() > limit => Err(too_large(key)),
        Value::BulkString(bytes) => Ok(match Envelope::from_bytes(key, bytes.into())? {
            Envelope::Record(record) => Loaded::Found(record),
            Envelope::Moved(_) => Loaded::Moved,
        }),
        _ => Err(unexpected(Effect::Read)),
    }
}

/// Whether the answer to a write that was sent again shows what became of it the first time: it is done, or
/// another write took the place of the `expected` revision.
fn tells_of_the_first_run(reply: &Value, expected: Revision) -> bool {
    match reply {
        Value::Okay => true,
        Value::BulkString(envelope) => {
            envelope.get(PREVIOUS_REVISION).is_some_and(|it| it == expected.to_bytes())
        }
        _ => false,
    }
}

/// The answer of [`scripts::UPDATE`]: OK, nil, or what is there instead.
fn updated(key: &SessionKey, reply: Value) -> Result<Updated, Error> {
    match reply {
        Value::Okay => Ok(Updated::Updated),
        Value::Nil => Ok(Updated::Missing),
        Value::SimpleString(_) => Err(too_large(key)),
        Value::BulkString(bytes) => Ok(match Envelope::from_bytes(key, bytes.into())? {
            Envelope::Record(record) => Updated::Stale(record),
            Envelope::Moved(_) => Updated::Moved,
        }),
        _ => Err(unexpected(Effect::Write)),
    }
}

fn too_large(key: &SessionKey) -> Error {
    let reason = "it is far larger than `max_payload` allows: raise that, or end the session";
    Error::Corrupt { key: key.clone(), reason }
}

fn into_error(key: &SessionKey, failure: Failure, effect: Effect) -> Error {
    if failure.is_wrong_type() {
        return Error::Corrupt { key: key.clone(), reason: NO_STRING };
    }
    failure.into_error(effect)
}

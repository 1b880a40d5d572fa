//! The crate's own layout: an envelope under a name that is a hash of the session's id.

mod scripts;

use std::sync::Arc;

use redis::{Cmd, ToRedisArgs, Value};

use super::connection::{Connection, Connections, Way};
use super::failure::Effect;
use super::name::Prefix;
use super::script::Script;
use super::{Made, in_use, into_error, unexpected};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, MOVED_FORMAT, Moved, RECORD_FORMAT, Record, Revision};
use crate::store::{Created, Loaded, Rotation, Updated};
use crate::ttl::Ttl;

/// A chain of renewals is deleted in so many parts at most: half a million of them.
const MOST_PARTS: usize = 1000;

#[derive(Debug)]
pub(super) struct Native {
    prefix: Prefix,
    connections: Arc<Connections>,
}

impl Native {
    pub(super) fn new(prefix: Prefix, connections: Arc<Connections>) -> Self {
        Self { prefix, connections }
    }

    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// What a session's key is called.
    #[cfg(feature = "express")]
    pub(super) fn name(&self, key: &SessionKey) -> String {
        format!("{}{}", self.prefix.as_str(), key.storage_name())
    }

    pub(super) async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let get = self.get(key);
        let operation = async |mut connection: Connection| connection.send(&get).await;
        let reply = self.connections.run(self.prefix.name(key).slot(), Way::Shared, operation).await;
        match reply.map_err(|failure| into_error(key, failure, Effect::Read))? {
            Value::Nil => Ok(Loaded::Absent),
            Value::BulkString(bytes) => Ok(match Envelope::from_bytes(key, bytes.into())? {
                Envelope::Record(record) => Loaded::Found(record),
                Envelope::Moved(_) => Loaded::Moved,
            }),
            _ => Err(unexpected(Effect::Read)),
        }
    }

    pub(super) async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        Ok(self.make(key, record, ttl).await?.into())
    }

    pub(super) async fn make(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Made, Error> {
        let bytes = record.to_bytes();
        let mut set = Cmd::with_capacity(6, 96 + bytes.len());
        set.arg("SET").arg(self.prefix.name(key)).arg(bytes).arg("NX").arg("PX").arg(ttl.as_millis());
        let get = self.get(key);
        let way = if record.owner.is_some() { Way::Durable } else { Way::Shared };
        let operation = async |mut connection: Connection| match connection.send(&set).await? {
            Value::Nil => connection.send(&get).await,
            reply => Ok(reply),
        };
        let reply = match self.connections.run(self.prefix.name(key).slot(), way, operation).await {
            Err(failure) if failure.is_wrong_type() => return Ok(Made::Not),
            reply => reply.map_err(|failure| failure.into_error(Effect::Write))?,
        };
        let is_ours = match reply {
            Value::Okay => return Ok(Made::Now),
            Value::BulkString(bytes) => {
                Envelope::from_bytes(key, bytes.into()).is_ok_and(|held| held.bears(record.revision))
            }
            // It ended between the two commands.
            _ => false,
        };
        Ok(if is_ours { Made::Before } else { Made::Not })
    }

    pub(super) async fn update(
        &self,
        key: &SessionKey,
        expected: Revision,
        record: &Record,
        ttl: Ttl,
    ) -> Result<Updated, Error> {
        let arguments = (&expected.to_bytes(), record.to_bytes(), ttl.as_millis());
        let reply =
            self.eval(key, Way::Shared, &scripts::UPDATE, (self.prefix.name(key),), arguments).await?;
        updated(key, reply)
    }

    pub(super) async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
        ttl: Ttl,
    ) -> Result<bool, Error> {
        let end = expires_at.as_millis().to_be_bytes();
        let arguments = (&expected.to_bytes(), &end, ttl.as_millis());
        match self.eval(key, Way::Shared, &scripts::TOUCH, (self.prefix.name(key),), arguments).await? {
            Value::Int(touched) => Ok(touched == 1),
            Value::BulkString(head) => match head.first() {
                None | Some(&RECORD_FORMAT | &MOVED_FORMAT) => Ok(false),
                Some(_) => Envelope::from_bytes(key, head.into()).map(|_| false),
            },
            _ => Err(unexpected(Effect::Write)),
        }
    }

    pub(super) async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let Rotation { old, expected, new, record, ttl } = rotation;
        let keys = (self.prefix.name(old), self.prefix.name(new));
        let marker = Moved::new(new.clone(), record, expected).to_bytes();
        let arguments =
            (&expected.to_bytes(), record.to_bytes(), ttl.as_millis(), marker, Moved::ttl(ttl).as_millis());
        match self.eval(old, Way::Durable, &scripts::ROTATE, keys, arguments).await? {
            Value::Int(_) => Err(in_use()),
            reply => updated(old, reply),
        }
    }

    /// Follows a chain of renewals to its end, and deletes that first: what is left of the chain, should this
    /// be cut short, leads to nothing.
    pub(super) async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        let step = async |name: &[u8], stops: bool| {
            let arguments = (self.prefix.as_str(), u8::from(stops));
            self.eval(key, Way::Durable, &scripts::DELETE, (name,), arguments).await
        };
        let mut parts = vec![self.prefix.name(key).to_redis_args().concat()];
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

    fn get(&self, key: &SessionKey) -> Cmd {
        let mut get = Cmd::with_capacity(2, 64);
        get.arg("GET").arg(self.prefix.name(key));
        get
    }

    async fn eval(
        &self,
        key: &SessionKey,
        way: Way,
        script: &Script,
        keys: impl ToRedisArgs + Send + Sync,
        arguments: impl ToRedisArgs + Send + Sync,
    ) -> Result<Value, Error> {
        let slot = self.prefix.name(key).slot();
        let reply = script.run(&self.connections, slot, way, keys, arguments).await;
        reply.map_err(|failure| into_error(key, failure, Effect::Write))
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

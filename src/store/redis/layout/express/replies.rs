//! What Redis answers about sessions of Express.

use std::time::Duration;

use redis::Value;

use super::Express;
use super::member::Versions;
use super::value::{self, Facts, MAX_LENGTH};
use crate::clock::{Clock as _, SystemClock};
use crate::cookie::SessionCookie;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::redis::failure::{Effect, Failure};
use crate::store::redis::layout::NO_STRING;
use crate::store::redis::unexpected;
use crate::store::{Loaded, Updated};
use crate::ttl::MAX_TTL;

/// What `PTTL` says of a key that is not there.
pub(super) const GONE: i64 = -2;

impl Express {
    /// What a script answers where it finds something: OK, nil, 1 for a marker, or what is there.
    pub(super) fn updated(&self, key: &SessionKey, reply: Value) -> Result<Updated, Error> {
        match reply {
            Value::Okay => Ok(Updated::Updated),
            Value::Nil => Ok(Updated::Missing),
            Value::Int(1) => Ok(Updated::Moved),
            found => Ok(Updated::Stale(self.found(key, found, Effect::Write)?)),
        }
    }

    /// What a load found: a value, its time to live, and whether there is a marker.
    pub(super) fn loaded(&self, key: &SessionKey, answers: Vec<Value>) -> Result<Loaded, Error> {
        let answers = answers.into_iter().map(Value::extract_error).collect::<Result<Vec<_>, _>>();
        let answers = answers.map_err(|error| into_error(key, error.into(), Effect::Read))?;
        let Ok([Value::BulkString(value), Value::Int(left), Value::Int(markers)]) =
            <[Value; 3]>::try_from(answers)
        else {
            return Err(unexpected(Effect::Read));
        };
        if markers > 0 {
            return Ok(Loaded::Moved);
        }
        // Its time may have run out in between.
        if left == GONE {
            return Ok(Loaded::Absent);
        }
        if value.len() > MAX_LENGTH {
            return Err(too_long(key));
        }
        self.record(key, &value, left).map(Loaded::Found)
    }

    /// A value that a script reports: itself, and its time to live.
    pub(super) fn found(&self, key: &SessionKey, reply: Value, effect: Effect) -> Result<Record, Error> {
        let parts = match reply {
            Value::SimpleString(_) => return Err(too_long(key)),
            Value::Array(parts) => <[Value; 2]>::try_from(parts).map_err(|_| unexpected(effect))?,
            _ => return Err(unexpected(effect)),
        };
        let [Value::BulkString(value), Value::Int(left)] = parts else { return Err(unexpected(effect)) };
        self.record(key, &value, left)
    }

    fn record(&self, key: &SessionKey, value: &[u8], left: i64) -> Result<Record, Error> {
        let record = self.keys.record(key, value, &self.cookie, left);
        record.inspect_err(|error| self.keys.foreign_value.note(error))
    }
}

/// Whether a script found that it was run before.
pub(super) fn is_done(reply: &Value) -> bool {
    *reply == Value::Okay
}

/// Whether these are the answers of a load that found a value, and also the marker that takes its place; or no value,
/// and yet a time to live.
pub(super) fn is_ambiguous(answers: &Value) -> bool {
    let Value::Array(answers) = answers else { return false };
    match &answers[..] {
        [Value::BulkString(value), Value::Int(left), Value::Int(markers)] => {
            !value.is_empty() && *markers > 0 || value.is_empty() && *left != GONE
        }
        _ => false,
    }
}

/// The record of a value that has `left` milliseconds to live. One that has no end is given the longest time.
pub(super) fn record(
    key: &SessionKey,
    value: &[u8],
    cookie: &SessionCookie,
    left: i64,
) -> Result<Record, Error> {
    let now = SystemClock.now();
    let left = u64::try_from(left).map_or(MAX_TTL, Duration::from_millis);
    let Versions { revision, previous } = Versions::of(value);
    let facts = Facts { revision, previous_revision: previous, expires_at: now.saturating_add(left) };
    value::read(key, value, cookie, facts, now)
}

pub(super) fn into_error(key: &SessionKey, failure: Failure, effect: Effect) -> Error {
    if failure.is_wrong_type() {
        return Error::Unreadable { key: key.clone(), reason: NO_STRING };
    }
    failure.into_error(effect)
}

fn too_long(key: &SessionKey) -> Error {
    Error::Unreadable { key: key.clone(), reason: "it is longer than 1 MB" }
}

//! The layout of express-session and connect-redis, for sessions that a Node service shares.

mod cookie;
mod following;
mod foreign_value;
pub(super) mod keyspace;
mod member;
mod options;
mod replies;
mod scripts;
mod text;
mod value;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;

use self::keyspace::ExpressKeys;
use self::member::{expected, text};
use self::replies::{into_error, is_ambiguous, is_done};
use self::value::MAX_LENGTH;
use super::native::Native;
use super::{Keyspace, Layout, Made, RedisLayout, in_use};
use crate::clock::{Clock as _, SystemClock};
use crate::cookie::SessionCookie;
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::record::{Moved, Record};
use crate::store::record_limit::RecordLimit;
use crate::store::redis::connection::{Connection, Connections, Durability, Repeat};
use crate::store::redis::failure::Effect;
use crate::store::redis::name::{self, Prefix, Slot};
use crate::store::redis::script::Script;
use crate::store::redis::unexpected;
use crate::store::{Created, Loaded, Requirements, Rotation, SessionStore, Touch, Update, Updated};
use crate::ttl::Ttl;

pub(super) use self::following::Followed;
pub use self::options::ExpressLayout;
pub(crate) use self::value::check_data;
#[cfg(fuzzing)]
pub(crate) use self::value::reread as reread_value;

impl RedisLayout {
    /// Keeps sessions as express-session and connect-redis do, so that an Express service and this one share them.
    /// The manager needs the service's secrets, [`KeyRing::express`], and takes the layout's cookie:
    ///
    /// ```no_run
    /// use session_store::{
    ///     ExpressLayout, KeyRing, RedisLayout, RedisStore, SessionCookie, SessionManager, Values,
    /// };
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let cookie = SessionCookie::new().name("connect.sid").secure(true);
    /// let store = RedisStore::builder("redis://127.0.0.1")
    ///     .layout(RedisLayout::express(ExpressLayout::new(cookie)))
    ///     .connect()
    ///     .await?;
    /// let manager = SessionManager::<Values>::builder(store, KeyRing::express("keyboard cat")?)
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    #[doc = include_str!("express/express.md")]
    ///
    /// The page [`moving_from_express`](crate::moving_from_express) leads on from there.
    ///
    /// [`KeyRing::express`]: crate::KeyRing::express
    #[must_use]
    pub fn express(layout: ExpressLayout) -> Self {
        Self::new("express", |base| Box::new(Express::new(layout, base.connections)))
    }
}

const UNTAGGED_BRACE: &str =
    "its id has a `}`, and no hash tag of Redis Cluster: let `genid` make ids without braces";
const NO_ARGUMENTS: &[&str] = &[];

/// A time to live is only known as exactly as the answer that told it was on its way. A session whose end is later than
/// that by this was touched by another request.
const TOUCHED_AT_ONCE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Express {
    keys: Arc<ExpressKeys>,
    cookie: SessionCookie,
    connections: Arc<Connections>,
}

/// Where a session is: its value, and the marker of its rotation, in one Cluster slot.
struct Place {
    value: String,
    marker: String,
    slot: Slot,
}

#[async_trait]
impl SessionStore for Express {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        let place = self.place(key)?;
        let mut questions = redis::pipe();
        // One byte more than a value may have tells that it has too many.
        questions.cmd("GETRANGE").arg(&place.value).arg(0).arg(MAX_LENGTH);
        questions.cmd("PTTL").arg(&place.value);
        // Last, so that a session which gets a new id in between is not missed under both.
        questions.cmd("EXISTS").arg(&place.marker);
        let keys = (&place.value, &place.marker);
        let operation = async |mut connection: Connection| {
            if let Some(answers) = connection.send_together(&questions).await?
                && !is_ambiguous(&answers)
            {
                return Ok(answers);
            }
            // In one step, since the slot is migrating, or the answers are of several moments.
            scripts::LOAD.send(&mut connection, &keys, &NO_ARGUMENTS).await
        };
        let reply = self.connections.run(place.slot, Durability::Ordinary, Repeat::Read, operation).await;
        match reply.map_err(|failure| into_error(key, failure, Effect::Read))? {
            Value::Int(0) => Ok(Loaded::Absent),
            Value::Int(1) => Ok(Loaded::Moved),
            Value::Array(answers) if answers.len() == 3 => self.loaded(key, answers),
            found => Ok(Loaded::Found(self.found(key, found, Effect::Read)?)),
        }
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        Ok(self.make(key, record, ttl).await?.into())
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let outcome = self.swap(update).await?;
        if !(update.follow && outcome == Updated::Moved) {
            return Ok(outcome);
        }
        match self.followed(&update).await? {
            Followed::To(successor) => self.swap(Update { key: &successor, ..update }).await,
            Followed::Before => Ok(Updated::Updated),
            Followed::Nowhere => Ok(Updated::Missing),
        }
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let Touch { key, expected, known_end, ttl, .. } = touch;
        let known = known_end.saturating_since(SystemClock.now()).saturating_add(TOUCHED_AT_ONCE);
        let arguments =
            [self::expected(expected), ttl.as_millis().to_string(), Ttl::new(known).as_millis().to_string()];
        match self.eval(key, Durability::Ordinary, Repeat::Write, &scripts::TOUCH, &arguments).await? {
            Value::Int(touched) => Ok(touched == 1),
            _ => Err(unexpected(Effect::Write)),
        }
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        if self.is_on_one_server() {
            let value = Destination::Express(self.value(rotation.new, rotation.record)?);
            return self.move_to(&self.place(rotation.new)?.value, value, &rotation).await;
        }
        let made = self.make(rotation.new, rotation.record, rotation.ttl).await?;
        if matches!(made, Made::Not) {
            return Err(in_use());
        }
        let (outcome, in_vain) = self.leave(matches!(made, Made::Now), &rotation).await?;
        if in_vain {
            self.delete(rotation.new).await?;
        }
        Ok(outcome)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.delete_beside(key, None).await
    }

    fn requirements(&self) -> Requirements {
        Requirements {
            express: Some(self.cookie.clone()),
            told_owner: Some(self.keys.told_owner.clone()),
            ..Requirements::default()
        }
    }
}

#[async_trait]
impl Layout for Express {
    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error> {
        let loaded = self.load(key).await?;
        let life = match &loaded {
            // The end was made of the time to live.
            Loaded::Found(record) => Some(record.expires_at.saturating_since(SystemClock.now())),
            _ => None,
        };
        Ok((loaded, life))
    }

    async fn successor(&self, key: &SessionKey) -> Result<Option<SessionKey>, Error> {
        match self.behind(key, String::new()).await? {
            Followed::To(successor) => Ok(Some(successor)),
            Followed::Before | Followed::Nowhere => Ok(None),
        }
    }

    fn keyspaces(&self) -> Vec<Arc<dyn Keyspace>> {
        vec![Arc::<ExpressKeys>::clone(&self.keys)]
    }

    fn with_prefix(&self, prefix: String, _: RecordLimit) -> Result<Box<dyn Layout>, Error> {
        // An id may be any text without a colon: that alone tells where a prefix ends.
        if !prefix.ends_with(':') {
            return Err(Error::Config(format!(
                "the key prefix {prefix:?} must end with a colon: another store's may begin like it, and an id of \
                 express-session like the rest of that; write \"shop:\" rather than \"shop\""
            )));
        }
        let keys = Arc::new(ExpressKeys::new(Prefix::new(prefix)?));
        Ok(Box::new(Self { keys, cookie: self.cookie.clone(), connections: Arc::clone(&self.connections) }))
    }

    fn key(&self, id: &SessionId) -> SessionKey {
        id.clone().into_foreign().key()
    }

    fn warning(&self) -> Option<&'static str> {
        self.keys.foreign_value.warning()
    }
}

impl Express {
    pub(super) fn new(layout: ExpressLayout, connections: Arc<Connections>) -> Self {
        let keys = Arc::new(ExpressKeys::new(Prefix::foreign(layout.prefix)));
        Self { keys, cookie: layout.cookie, connections }
    }

    async fn make(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Made, Error> {
        let arguments = [text(record.revision), self.value(key, record)?, ttl.as_millis().to_string()];
        let durability = if record.owner.is_some() { Durability::Replicated } else { Durability::Ordinary };
        match self.eval(key, durability, Repeat::Never, &scripts::CREATE, &arguments).await {
            Ok(Value::Okay) => Ok(Made::Now),
            Ok(Value::Int(1)) => Ok(Made::Before),
            Ok(Value::Int(0)) | Err(Error::Unreadable { .. }) => Ok(Made::Not),
            Ok(_) => Err(unexpected(Effect::Write)),
            Err(error) => Err(error),
        }
    }

    /// An update of the session under its key itself.
    pub(super) async fn swap(&self, update: Update<'_>) -> Result<Updated, Error> {
        let Update { key, record, ttl, .. } = update;
        let arguments = [
            expected(update.expected()),
            text(record.revision),
            self.value(key, record)?,
            ttl.as_millis().to_string(),
        ];
        let reply =
            self.eval(key, Durability::Ordinary, Repeat::If(&is_done), &scripts::UPDATE, &arguments).await?;
        self.updated(key, reply)
    }

    /// Deletes a session, and after a rotation its successors; each in the other layout, too.
    pub(super) async fn delete_beside(
        &self,
        key: &SessionKey,
        native: Option<&Native>,
    ) -> Result<bool, Error> {
        let (mut passed, mut known) = (Vec::new(), HashSet::new());
        let mut next = Some(key.clone());
        let mut was_there = false;
        while let Some(key) = next.take() {
            let reply = self.eval(&key, Durability::Replicated, Repeat::Write, &scripts::DELETE, &[]).await?;
            if let Some(native) = native {
                was_there |= native.delete(&key).await?;
            }
            match reply {
                Value::Int(deleted) => was_there |= deleted > 0,
                Value::BulkString(id) => {
                    was_there = true;
                    let successor = std::str::from_utf8(&id).ok().and_then(SessionId::express);
                    next = successor.map(|id| id.key()).filter(|it| *it != key && !known.contains(it));
                    known.insert(key.clone());
                    passed.push(key);
                }
                _ => return Err(unexpected(Effect::Write)),
            }
        }
        // A marker stays until all that it leads to is gone: without it, nobody could find that again.
        for key in passed.iter().rev() {
            self.eval(key, Durability::Replicated, Repeat::Write, &scripts::FORGET, &[]).await?;
        }
        Ok(was_there)
    }

    /// Writes a session's record to the key `name` and takes the session away from where it is, in one
    /// step. That takes one server.
    pub(super) async fn move_to(
        &self,
        name: &str,
        value: Destination,
        rotation: &Rotation<'_>,
    ) -> Result<Updated, Error> {
        let Rotation { old, new, record, ttl } = rotation;
        let marker = if old == new { String::new() } else { marker(rotation, true) };
        let (value, sealed) = match value {
            Destination::Express(value) => (value.into_bytes(), "1"),
            Destination::Native(bytes) => (bytes, "0"),
        };
        let place = self.place(old)?;
        let arguments = (
            (expected(rotation.expected()), text(record.revision)),
            (value, ttl.as_millis(), sealed),
            (marker, Moved::ttl(*ttl).as_millis()),
        );
        let keys = (&place.value, &place.marker, name);
        let (repeat, slot) = (Repeat::If(&is_done), place.slot);
        let reply =
            scripts::MOVE.run(&self.connections, slot, Durability::Replicated, repeat, keys, arguments).await;
        match reply.map_err(|failure| into_error(old, failure, Effect::Write))? {
            Value::Int(0) => Err(in_use()),
            reply => self.updated(old, reply),
        }
    }

    /// Puts a marker in the place of a session whose record is at its new key already, made there `now` or
    /// when this was first sent. Answers besides whether that record has to go again.
    ///
    /// In a cluster the two are on different nodes, most of the time. Nobody knows the new id before this
    /// is over, so the step that counts is the one at the old id.
    pub(super) async fn leave(&self, now: bool, rotation: &Rotation<'_>) -> Result<(Updated, bool), Error> {
        let Rotation { old, record, ttl, .. } = rotation;
        let arguments = [
            expected(rotation.expected()),
            text(record.revision),
            marker(rotation, now),
            Moved::ttl(*ttl).as_millis().to_string(),
        ];
        // To a second run it would look as if the whole rotation were sent twice.
        match self.eval(old, Durability::Replicated, Repeat::Never, &scripts::LEAVE, &arguments).await? {
            Value::Int(2) => Ok((Updated::Updated, true)),
            reply => {
                let outcome = self.updated(old, reply)?;
                let in_vain = outcome != Updated::Updated;
                Ok((outcome, in_vain))
            }
        }
    }

    /// Whether a script may use any keys together.
    pub(super) fn is_on_one_server(&self) -> bool {
        self.connections.are_one_server()
    }

    async fn eval(
        &self,
        key: &SessionKey,
        durability: Durability,
        repeat: Repeat<'_>,
        script: &Script,
        arguments: &[String],
    ) -> Result<Value, Error> {
        let Place { value, marker, slot } = self.place(key)?;
        let effect = if matches!(repeat, Repeat::Read) { Effect::Read } else { Effect::Write };
        let reply = script.run(&self.connections, slot, durability, repeat, (value, marker), arguments).await;
        reply.map_err(|failure| into_error(key, failure, effect))
    }

    fn place(&self, key: &SessionKey) -> Result<Place, Error> {
        let id = key.express_id().ok_or_else(|| {
            Error::Config(
                "express-session stores sessions under their ids, which these keys don't have: give the \
                 manager a `KeyRing::express(secret)`"
                    .to_owned(),
            )
        })?;
        let value = format!("{}{id}", self.keys.prefix.as_str());
        let marker = marker_name(&value);
        if self.is_on_one_server() {
            // Which has all slots.
            return Ok(Place { value, marker, slot: 0 });
        }
        let slot = name::slot_of_key(value.as_bytes());
        if slot != name::slot_of_key(marker.as_bytes()) {
            return Err(Error::Unreadable { key: key.clone(), reason: UNTAGGED_BRACE });
        }
        Ok(Place { value, marker, slot })
    }

    fn value(&self, key: &SessionKey, record: &Record) -> Result<String, Error> {
        value::write(key, record, &self.cookie, SystemClock.now())
    }
}

/// What the marker beside a value is called, in the slot of the value: with the value's own hash tag, or else with its
/// whole name for one. With a `}` in that, there is no such name.
fn marker_name(value: &str) -> String {
    match name::hash_tag(value.as_bytes()) {
        Some(_) => format!("moved::{value}"),
        None => format!("moved:{{{value}}}"),
    }
}

/// What says where a session went, and whether that was made for it `now`.
fn marker(rotation: &Rotation<'_>, now: bool) -> String {
    let (revision, replaced) = (text(rotation.record.revision), text(rotation.expected()));
    format!("{revision}{replaced}{}{}", u8::from(now), rotation.new.express_id().unwrap_or_default())
}

/// What a session is written as where it moves to.
pub(super) enum Destination {
    Express(String),
    Native(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both are one step of a script, so they have to be on one node of a cluster.
    #[test]
    fn a_marker_is_in_the_slot_of_its_value_and_no_other_values() {
        let slot = |name: &str| name::slot_of_key(name.as_bytes());
        let values = ["sess:a", "a", "{a}", "{sess}:a", "sess:{a}b", "sess:{{a}", "sess:{a", "{", "a{}{b"];
        let markers: HashSet<_> = values.iter().map(|value| marker_name(value)).collect();
        assert_eq!(markers.len(), values.len());
        for value in values.iter().filter(|value| **value != "a{}{b") {
            assert_eq!(slot(&marker_name(value)), slot(value), "{value}");
        }
        for value in ["a}b", "}{", "a{}{b", "a{}"] {
            assert_ne!(slot(&marker_name(value)), slot(value), "{value}");
        }
    }
}

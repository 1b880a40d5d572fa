//! A session's value as connect-redis stores it: a JSON object of the application's members, with one
//! for the cookie, and one of this crate's own that Node keeps without knowing it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::member::{self, CLOSING, OURS, SEAL_LENGTH};
use super::{cookie, text};
use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::cookie::SessionCookie;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Payload, Record, Revision, Written};

/// The longest value that is read or written, in bytes.
pub(in crate::store::redis) const MAX_LENGTH: usize = 1_000_000;
/// The tag of the only codec that Node can read.
const JSON: u8 = Codec::Json.tag();
const COOKIE: &str = "cookie";
pub(super) const NO_OBJECT: &str = "it is not a JSON object";
pub(super) const NO_COOKIE: &str = "it has no cookie";

/// What express-session's `Session` has by itself, and `Object.prototype`: a member of such a name is
/// there for `JSON.parse`, but not on the `req.session` that Node makes of it.
const TAKEN: [&str; 20] = [
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "destroy",
    "hasOwnProperty",
    "id",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "regenerate",
    "reload",
    "req",
    "resetMaxAge",
    "save",
    "toLocaleString",
    "toString",
    "touch",
    "valueOf",
];

/// So many members are looked through for one of a name.
const MEMBERS_TO_SEARCH: usize = 32;

/// A JSON object's members in their order, each name once.
#[derive(Default)]
pub(super) struct Members<'v>(Vec<(Cow<'v, str>, &'v RawValue)>);

impl<'v> Members<'v> {
    pub(super) fn parse(json: &'v [u8]) -> Option<Self> {
        // Looked at as a whole, it is found to be text faster than part by part.
        serde_json::from_str(std::str::from_utf8(json).ok()?).ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<&'v RawValue> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'v RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members(Vec::with_capacity(16));
                // Only of many it is faster to know where they are.
                let mut places = HashMap::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    let known = match members.0.len() {
                        ..=MEMBERS_TO_SEARCH => members.0.iter().position(|(known, _)| *known == name),
                        count => {
                            if places.is_empty() {
                                places.extend((0..count).map(|at| (members.0[at].0.clone(), at)));
                            }
                            places.get(&name).copied()
                        }
                    };
                    // Of a name that comes twice, JavaScript takes the last value.
                    if let Some(known) = known {
                        members.0[known].1 = value;
                        continue;
                    }
                    if !places.is_empty() {
                        places.insert(name.clone(), members.0.len());
                    }
                    members.0.push((name, value));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[derive(serde::Deserialize)]
struct Name<'v>(#[serde(borrow)] Cow<'v, str>);

/// Writes members into a JSON object, one after the other.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self::with_capacity(64)
    }

    /// With room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut open = String::with_capacity(bytes);
        open.push('{');
        Self(open)
    }

    pub(super) fn add(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.0.extend(["\"", name, "\":"]);
        } else {
            self.0.extend([&*serde_json::to_string(name).expect("a text has a JSON form"), ":"]);
        }
        self.0.push_str(json);
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// What Redis knows of a value beside its bytes.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) revision: Revision,
    pub(super) previous_revision: Option<Revision>,
    /// By the key's time to live: Node's touches leave the value as it is, so what that says of its end
    /// may be long past.
    pub(super) expires_at: Timestamp,
}

/// The record that a value holds, in a service whose cookies are like this one.
///
/// Members of a name that is taken are passed over: Node doesn't see them either.
pub(super) fn read(
    key: &SessionKey,
    value: &[u8],
    cookie: &SessionCookie,
    facts: Facts,
    now: Timestamp,
) -> Result<Record, Error> {
    let unreadable = |reason| Error::Unreadable { key: key.clone(), reason };
    let value = text::mended(value);
    let members = Members::parse(&value).ok_or_else(|| unreadable(NO_OBJECT))?;
    let stored = members.get(COOKIE).ok_or_else(|| unreadable(NO_COOKIE))?;
    let mut data = Object::with_capacity(value.len());
    for (name, value) in members.iter().filter(|(name, _)| !is_taken(name)) {
        data.add(name, value.get());
    }
    let data = Payload::new(JSON, data.finish());
    // As old as this look at it, for all that is known of a session that Node made.
    let mut record = Record::of_revision(facts.revision, now, now, data);
    let ours: Option<&str> =
        members.get(OURS).map(|ours| serde_json::from_str(ours.get()).unwrap_or_default());
    let is_ours = ours.map(|ours| member::read(key, ours, &mut record)).transpose()?.unwrap_or(false);
    let left = facts.expires_at.saturating_since(now);
    cookie::read(stored.get(), cookie, left, &mut record)
        .ok_or_else(|| unreadable("its cookie is not an object"))?;
    record.written =
        is_ours.then(|| Box::new(Written { end: Some(record.expires_at), ..Written::default() }));
    record.expires_at = facts.expires_at;
    record.previous_revision = facts.previous_revision;
    Ok(record)
}

/// The value for a record that is stored under `key` at `now`, up to where its seal belongs.
pub(super) fn write(
    key: &SessionKey,
    record: &Record,
    ours: &SessionCookie,
    now: Timestamp,
) -> Result<String, Error> {
    let mut value = Object::new();
    value.add(COOKIE, &cookie::object(ours, record, now));
    for (name, json) in checked(&record.data)?.iter() {
        value.add(name, json.get());
    }
    let value = format!("{},\"{OURS}\":\"{}", value.0, member::write(key, record));
    let (size, limit) = (value.len() + SEAL_LENGTH + CLOSING.len(), MAX_LENGTH);
    if size > limit {
        return Err(Error::TooLarge { what: "the session's value", size, limit });
    }
    Ok(value)
}

/// Reads a value, and writes it again as far as Node could read it.
#[cfg(fuzzing)]
pub(crate) fn reread(key: &SessionKey, value: &[u8]) -> Result<(Record, Option<String>), Error> {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let facts = Facts { revision: Revision::fresh(), previous_revision: None, expires_at: now };
    let record = read(key, value, &SessionCookie::new(), facts, now)?;
    let written = write(key, &record, &SessionCookie::new(), now).ok();
    Ok((record, written.map(|open| format!("{open}{}\"}}", "0".repeat(SEAL_LENGTH)))))
}

/// Refuses data that Node could not read, or not all of it.
pub(crate) fn check_data(data: &Payload) -> Result<(), Error> {
    checked(data).map(|_| ())
}

/// The members of data that Node can read.
fn checked(data: &Payload) -> Result<Members<'_>, Error> {
    let refused = |reason: String| Err(Error::Encode { reason });
    if data.codec() != JSON {
        return refused(
            "express-session reads JSON only: leave the manager's codec at `Codec::Json`".to_owned(),
        );
    }
    let Some(members) = Members::parse(data.bytes()) else {
        return refused(
            "express-session keeps an object: the session's type must be a struct or a map".to_owned(),
        );
    };
    if let Some((name, _)) = members.iter().find(|(name, _)| is_taken(name)) {
        return refused(format!(
            "Node would lose the member {name:?}, because its sessions have another member of that name: rename \
             it, or give it another name in JSON by #[serde(rename)]"
        ));
    }
    Ok(members)
}

fn is_taken(name: &str) -> bool {
    name == COOKIE || name == OURS || TAKEN.contains(&name)
}

#[cfg(test)]
mod tests;

//! The keys of Express' layout: the prefix, and the id as it is.

use std::time::Duration;

use async_trait::async_trait;

use super::foreign_value::ForeignValue;
use super::replies;
use super::value::MAX_LENGTH;
use crate::cookie::SessionCookie;
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::record::Record;
use crate::store::redis::failure::Failure;
use crate::store::redis::layout::{Keyspace, Named};
use crate::store::redis::name::Prefix;
use crate::store::redis::redis_scan::reading::{Reader, Reading};
use crate::store::scan::SessionSummary;
use crate::store::told_owner::ToldOwner;

/// The most bytes of values that are asked for at once.
const BYTES_AT_ONCE: usize = 1_000_000;
/// How long the index of owners knows of a session that only Node uses, which extends sessions without a word
/// to it.
const KNOWN_FROM_NODE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Debug)]
pub(in crate::store::redis::layout) struct ExpressKeys {
    pub(in crate::store::redis::layout) prefix: Prefix,
    pub(super) foreign_value: ForeignValue,
    pub(super) told_owner: ToldOwner,
}

impl ExpressKeys {
    pub(in crate::store::redis::layout) fn new(prefix: Prefix) -> Self {
        Self { prefix, foreign_value: ForeignValue::default(), told_owner: ToldOwner::default() }
    }
}

#[async_trait]
impl Keyspace for ExpressKeys {
    fn letter(&self) -> char {
        'e'
    }

    fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    fn pattern(&self) -> &'static str {
        "*"
    }

    /// Behind a colon begins what belongs to a longer prefix.
    fn session(&self, name: &str) -> Option<SessionKey> {
        SessionId::express(name).filter(|_| !name.contains(':')).map(|id| id.key())
    }

    fn first_byte(&self) -> u8 {
        b'{'
    }

    /// The whole of each value: it is JSON.
    async fn read(&self, reader: &Reader<'_>, keys: &[Named]) -> Result<Vec<Reading>, Failure> {
        let facts = |name: &[u8]| {
            ["STRLEN", "PTTL"].map(|verb| {
                let mut command = redis::cmd(verb);
                command.arg(name);
                command
            })
        };
        let mut lengths = Vec::with_capacity(keys.len());
        for answers in reader.ask(keys, facts).await? {
            let length: Option<usize> =
                answers.map(|[length, _]| redis::from_redis_value(length)).transpose()?;
            lengths.push(length.filter(|length| (1..=MAX_LENGTH).contains(length)));
        }
        let values = |name: &[u8]| {
            let mut value = redis::cmd("GETRANGE");
            value.arg(name).arg(0).arg(MAX_LENGTH);
            let mut left = redis::cmd("PTTL");
            left.arg(name);
            [value, left]
        };
        let mut read = Vec::with_capacity(keys.len());
        let mut rest = 0..keys.len();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.clone().take_while(|at| {
                let first = bytes == 0;
                bytes += lengths[*at].unwrap_or(0);
                first || bytes <= BYTES_AT_ONCE
            });
            let part = rest.start..rest.start + fits.count();
            let present: Vec<_> =
                part.clone().filter(|at| lengths[*at].is_some()).map(|at| keys[at].clone()).collect();
            let mut answers = reader.ask(&present, values).await?.into_iter();
            for at in part.clone() {
                let answers = if lengths[at].is_some() { answers.next().flatten() } else { None };
                let summary = match answers {
                    Some([value, left]) => {
                        let value: Vec<u8> = redis::from_redis_value(value)?;
                        let left: i64 = redis::from_redis_value(left)?;
                        self.summary(&keys[at].key, &value, left)
                    }
                    None => None,
                };
                // What is no session may be anything: names alone don't tell.
                read.push(summary.map_or(Reading::Nothing, |summary| Reading::Session(Box::new(summary))));
            }
            rest.start = part.end;
        }
        Ok(read)
    }

    /// The prefix is in the middle: a listing of Express' sessions by the prefix must not come across these keys.
    fn owners_key(&self, what: &str) -> (String, String) {
        // A brace of the prefix would end the hash tag, or begin it, in the wrong place.
        (format!("{what}:"), self.prefix.as_str().replace(['{', '}'], "|"))
    }

    /// The id, by which the session is found.
    fn entry_name<'k>(&self, key: &'k SessionKey) -> &'k str {
        key.express_id().unwrap_or_else(|| key.storage_name())
    }

    fn entry_key(&self, name: &str) -> Option<SessionKey> {
        SessionKey::from_storage_name(name).or_else(|| SessionId::express(name).map(|id| id.key()))
    }

    fn least_entry_life(&self) -> Duration {
        KNOWN_FROM_NODE
    }
}

impl ExpressKeys {
    /// The record of a value, with the owner whom its data tells.
    pub(super) fn record(
        &self,
        key: &SessionKey,
        value: &[u8],
        cookie: &SessionCookie,
        left: i64,
    ) -> Result<Record, Error> {
        let mut record = replies::record(key, value, cookie, left)?;
        self.told_owner.attribute(&mut record);
        Ok(record)
    }

    /// What a value tells of its session, which has `left` milliseconds to live (-1 for no end). `None` if it is none.
    fn summary(&self, key: &SessionKey, value: &[u8], left: i64) -> Option<SessionSummary> {
        if left == replies::GONE {
            return None;
        }
        match self.record(key, value, &SessionCookie::new(), left) {
            Ok(record) => Some(SessionSummary::new(key.clone(), &record)),
            Err(error) => {
                // Without a prefix, it may belong to anything.
                if !self.prefix.as_str().is_empty() {
                    self.foreign_value.note(&error);
                }
                None
            }
        }
    }
}

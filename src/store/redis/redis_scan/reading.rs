//! What the records that were found say of themselves, and no more of them than that takes.

use redis::{Pipeline, Value};

use super::step::{parts, unexpected};
use crate::error::Error;
use crate::id::SessionKey;
use crate::store::redis::RedisStore;
use crate::store::redis::connection::{Connection, Connections, Durability, Repeat};
use crate::store::redis::failure::{Effect, Failure};
use crate::store::redis::layout::{Keyspace, Named};
use crate::store::redis::name;
use crate::store::redis::target::Host;
use crate::store::scan::SessionSummary;

/// So many records are asked for at once. What a request asks on the same connection comes after them.
const AT_ONCE: usize = 50;

type Found = (Vec<SessionSummary>, Vec<SessionKey>);

/// What became of a key that was found.
pub(in crate::store::redis) enum Reading {
    Session(Box<SessionSummary>),
    Unreadable,
    /// It is gone by now, or was no session.
    Nothing,
}

impl RedisStore {
    pub(in crate::store::redis) fn reader<'a>(&'a self, host: Option<&'a Host>) -> Reader<'a> {
        Reader { connections: &self.connections, host }
    }

    /// Reads what `host` has under these keys, and elsewhere those that have left it meanwhile.
    pub(super) async fn read(
        &self,
        host: Option<&Host>,
        keyspace: &dyn Keyspace,
        keys: Vec<Named>,
    ) -> Result<Found, Error> {
        let reader = self.reader(host);
        let (mut sessions, mut unreadable) = (Vec::new(), Vec::new());
        for keys in keys.chunks(AT_ONCE) {
            let read = keyspace.read(&reader, keys).await;
            let read = read.map_err(|failure| failure.into_error(Effect::Read))?;
            for (named, read) in keys.iter().zip(read) {
                match read {
                    Reading::Session(summary) => sessions.push(*summary),
                    Reading::Unreadable => unreadable.push(named.key.clone()),
                    Reading::Nothing => {}
                }
            }
        }
        Ok((sessions, unreadable))
    }
}

/// Asks about the keys that were found on one server.
pub(in crate::store::redis) struct Reader<'a> {
    connections: &'a Connections,
    /// In a cluster, where they were found.
    host: Option<&'a Host>,
}

impl Reader<'_> {
    /// The answers to some questions about each key; none for a key that is of another type by now.
    pub(in crate::store::redis) async fn ask<const N: usize>(
        &self,
        keys: &[impl AsRef<[u8]>],
        questions: impl Fn(&[u8]) -> [redis::Cmd; N],
    ) -> Result<Vec<Option<[Value; N]>>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Pipeline::with_capacity(N * keys.len());
        for question in keys.iter().flat_map(|key| questions(key.as_ref())) {
            commands.add_command(question);
        }
        let operation = async |mut connection: Connection| connection.send_all(&commands).await;
        let Value::Array(answers) = self.connections.run_at(self.host, operation).await? else {
            return Err(unexpected("a pipeline"));
        };
        if answers.len() != N * keys.len() {
            return Err(unexpected("a pipeline"));
        }
        let mut answers = answers.into_iter();
        let mut all = Vec::with_capacity(keys.len());
        for name in keys.iter().map(AsRef::as_ref) {
            let own = std::array::from_fn(|_| answers.next().unwrap_or(Value::Nil));
            all.push(match good(own) {
                Ok(answers) => Some(answers),
                Err(failure) if failure.is_wrong_type() => None,
                Err(failure) if failure.is_redirection() => self.ask_owner(name, &questions(name)).await?,
                Err(failure) => return Err(failure),
            });
        }
        Ok(all)
    }

    async fn ask_owner<const N: usize>(
        &self,
        name: &[u8],
        questions: &[redis::Cmd; N],
    ) -> Result<Option<[Value; N]>, Failure> {
        let operation = async |mut connection: Connection| {
            let mut answers = Vec::with_capacity(N);
            for question in questions {
                answers.push(connection.send(question).await?);
            }
            Ok(Value::Array(answers))
        };
        let slot = name::slot_of_key(name);
        match self.connections.run(slot, Durability::Ordinary, Repeat::Read, operation).await {
            Err(failure) if failure.is_wrong_type() => Ok(None),
            answers => parts(answers?).map(Some),
        }
    }
}

fn good<const N: usize>(answers: [Value; N]) -> Result<[Value; N], Failure> {
    let answers: Result<Vec<_>, _> = answers.into_iter().map(Value::extract_error).collect();
    parts(Value::Array(answers?))
}

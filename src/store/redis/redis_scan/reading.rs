//! What the records that were found say of themselves, and no more of them than that takes.

use redis::{Pipeline, Value};

use super::step::{two, unexpected};
use crate::error::Error;
use crate::id::SessionKey;
use crate::store::redis::RedisStore;
use crate::store::redis::connection::{Connection, Connections, Durability, Repeat};
use crate::store::redis::failure::{Effect, Failure};
use crate::store::redis::layout::{Keyspace, Named};
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
    /// Reads what `host` has under these keys, and elsewhere those that have left it meanwhile.
    pub(super) async fn read(
        &self,
        host: Option<&Host>,
        keyspace: &dyn Keyspace,
        keys: Vec<Named>,
    ) -> Result<Found, Error> {
        let reader = Reader { connections: &self.connections, host, keyspace };
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
    keyspace: &'a dyn Keyspace,
}

impl Reader<'_> {
    /// The answers to two questions about each key; none for a key that is no string any more.
    pub(in crate::store::redis) async fn ask(
        &self,
        keys: &[Named],
        questions: impl Fn(&Named) -> [redis::Cmd; 2],
    ) -> Result<Vec<Option<[Value; 2]>>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Pipeline::with_capacity(2 * keys.len());
        for question in keys.iter().flat_map(&questions) {
            commands.add_command(question);
        }
        let operation = async |mut connection: Connection| connection.send_all(&commands).await;
        let Value::Array(answers) = self.connections.run_at(self.host, operation).await? else {
            return Err(unexpected("a pipeline"));
        };
        if answers.len() != 2 * keys.len() {
            return Err(unexpected("a pipeline"));
        }
        let mut answers = answers.into_iter();
        let mut all = Vec::with_capacity(keys.len());
        for named in keys {
            let pair = [answers.next(), answers.next()].map(|answer| answer.unwrap_or(Value::Nil));
            all.push(match good(pair) {
                Ok(pair) => Some(pair),
                Err(failure) if failure.is_wrong_type() => None,
                Err(failure) if failure.is_redirection() => self.ask_owner(named, &questions(named)).await?,
                Err(failure) => return Err(failure),
            });
        }
        Ok(all)
    }

    async fn ask_owner(
        &self,
        named: &Named,
        questions: &[redis::Cmd; 2],
    ) -> Result<Option<[Value; 2]>, Failure> {
        let [first, second] = questions;
        let operation = async |mut connection: Connection| {
            let first = connection.send(first).await?;
            Ok(Value::Array(vec![first, connection.send(second).await?]))
        };
        match self
            .connections
            .run(self.keyspace.slot(named), Durability::Ordinary, Repeat::Read, operation)
            .await
        {
            Err(failure) if failure.is_wrong_type() => Ok(None),
            answers => two(answers?).map(Some),
        }
    }
}

fn good([first, second]: [Value; 2]) -> Result<[Value; 2], Failure> {
    Ok([first.extract_error()?, second.extract_error()?])
}

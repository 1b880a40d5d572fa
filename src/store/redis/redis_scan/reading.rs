//! What the records that were found say of themselves, and no more of them than that takes.

use redis::{Pipeline, Value};

use super::names::{Named, Names, Part};
use super::step::{two, unexpected};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, LONGEST_HEAD};
use crate::store::redis::RedisStore;
use crate::store::redis::connection::{Connection, Repeat, Way};
use crate::store::redis::failure::{Effect, Failure};
use crate::store::redis::target::Host;
use crate::store::scan::SessionSummary;

/// So many records are asked for at once. What a request asks on the same connection comes after them.
const AT_ONCE: usize = 50;
/// So many bytes are, where records have to be read as a whole.
#[cfg(feature = "express")]
const BYTES_AT_ONCE: usize = 1_000_000;

type Found = (Vec<SessionSummary>, Vec<SessionKey>);

/// What became of a key that was found.
enum Read {
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
        names: Names<'_>,
        keys: Vec<Named>,
    ) -> Result<Found, Error> {
        let (mut sessions, mut unreadable) = (Vec::new(), Vec::new());
        for keys in keys.chunks(AT_ONCE) {
            let read = match names.part {
                Part::Native => self.read_heads(host, names, keys).await,
                #[cfg(feature = "express")]
                Part::Express => self.read_values(host, names, keys).await,
            };
            let read = read.map_err(|failure| failure.into_error(Effect::Read))?;
            for (named, read) in keys.iter().zip(read) {
                match read {
                    Read::Session(summary) => sessions.push(*summary),
                    Read::Unreadable => unreadable.push(named.key.clone()),
                    Read::Nothing => {}
                }
            }
        }
        Ok((sessions, unreadable))
    }

    /// Of this crate's own records, the beginning and the length.
    async fn read_heads(
        &self,
        host: Option<&Host>,
        names: Names<'_>,
        keys: &[Named],
    ) -> Result<Vec<Read>, Failure> {
        let questions = |named: &Named| {
            let mut head = redis::cmd("GETRANGE");
            head.arg(&named.name).arg(0).arg(LONGEST_HEAD - 1);
            let mut length = redis::cmd("STRLEN");
            length.arg(&named.name);
            [head, length]
        };
        let mut read = Vec::with_capacity(keys.len());
        for (named, answers) in keys.iter().zip(self.ask(host, names, keys, questions).await?) {
            let Some([head, length]) = answers else {
                read.push(Read::Nothing);
                continue;
            };
            let (head, length): (Vec<u8>, usize) =
                (redis::from_redis_value(head)?, redis::from_redis_value(length)?);
            read.push(head_read(&named.key, head, length));
        }
        Ok(read)
    }

    /// Of Express' records, all: they are JSON.
    #[cfg(feature = "express")]
    async fn read_values(
        &self,
        host: Option<&Host>,
        names: Names<'_>,
        keys: &[Named],
    ) -> Result<Vec<Read>, Failure> {
        use crate::store::redis::express::{self, MAX_LENGTH};

        let facts = |named: &Named| {
            ["STRLEN", "PTTL"].map(|verb| {
                let mut command = redis::cmd(verb);
                command.arg(&named.name);
                command
            })
        };
        let mut lengths = Vec::with_capacity(keys.len());
        for answers in self.ask(host, names, keys, facts).await? {
            let length: Option<usize> =
                answers.map(|[length, _]| redis::from_redis_value(length)).transpose()?;
            lengths.push(length.filter(|length| (1..=MAX_LENGTH).contains(length)));
        }
        let values = |named: &Named| {
            let mut value = redis::cmd("GETRANGE");
            value.arg(&named.name).arg(0).arg(MAX_LENGTH);
            let mut left = redis::cmd("PTTL");
            left.arg(&named.name);
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
            let mut answers = self.ask(host, names, &present, values).await?.into_iter();
            for at in part.clone() {
                let answers = if lengths[at].is_some() { answers.next().flatten() } else { None };
                let summary = match answers {
                    Some([value, left]) => {
                        let value: Vec<u8> = redis::from_redis_value(value)?;
                        let left: i64 = redis::from_redis_value(left)?;
                        express::summary(&keys[at].key, &value, left)
                    }
                    None => None,
                };
                // What is no session may be anything: names alone don't tell.
                read.push(summary.map_or(Read::Nothing, |summary| Read::Session(Box::new(summary))));
            }
            rest.start = part.end;
        }
        Ok(read)
    }

    /// The answers to two questions about each key; none for a key that is no string any more.
    async fn ask(
        &self,
        host: Option<&Host>,
        names: Names<'_>,
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
        let Value::Array(answers) = self.connections.run_at(host, operation).await? else {
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
                Err(failure) if failure.is_redirection() => {
                    self.ask_owner(names, named, &questions(named)).await?
                }
                Err(failure) => return Err(failure),
            });
        }
        Ok(all)
    }

    async fn ask_owner(
        &self,
        names: Names<'_>,
        named: &Named,
        questions: &[redis::Cmd; 2],
    ) -> Result<Option<[Value; 2]>, Failure> {
        let [first, second] = questions;
        let operation = async |mut connection: Connection| {
            let first = connection.send(first).await?;
            Ok(Value::Array(vec![first, connection.send(second).await?]))
        };
        match self.connections.run(names.slot(named), Way::Shared, Repeat::Read, operation).await {
            Err(failure) if failure.is_wrong_type() => Ok(None),
            answers => two(answers?).map(Some),
        }
    }
}

fn good([first, second]: [Value; 2]) -> Result<[Value; 2], Failure> {
    Ok([first.extract_error()?, second.extract_error()?])
}

/// What the beginning of a record says, which is of this length as a whole.
fn head_read(key: &SessionKey, head: Vec<u8>, length: usize) -> Read {
    if head.is_empty() {
        return Read::Nothing;
    }
    let held = head.len();
    match Envelope::from_bytes(key, head.into()) {
        Ok(Envelope::Record(record)) => {
            let before_data = held - record.data.bytes().len();
            let mut summary = SessionSummary::new(key.clone(), &record);
            summary.data_bytes = length.saturating_sub(before_data);
            Read::Session(Box::new(summary))
        }
        Ok(Envelope::Moved(_)) => Read::Nothing,
        Err(_) => Read::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Label, Owner, Payload, Record, SessionId, Timestamp};

    /// The longest head, so that it is what decides.
    #[test]
    fn the_head_of_a_record_tells_all_but_its_data() {
        let key = SessionId::generate().key();
        for (owner, label, size) in [(0, 0, 0), (1, 0, 5000), (256, 64, 0), (256, 64, 100_000), (0, 64, 3)] {
            let data = Payload::new(3, vec![b'x'; size]);
            let mut record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2), data);
            record.owner = (owner > 0).then(|| Owner::new("o".repeat(owner)).unwrap());
            record.label = (label > 0).then(|| Label::new("l".repeat(label)).unwrap());
            let bytes = record.to_bytes();
            let head = bytes[..LONGEST_HEAD.min(bytes.len())].to_vec();
            let Read::Session(summary) = head_read(&key, head, bytes.len()) else { panic!("a session") };
            assert_eq!(*summary, SessionSummary::new(key.clone(), &record), "{owner} {label} {size}");
        }
        assert!(matches!(head_read(&key, vec![0xA1; 20], 20), Read::Unreadable));
        assert!(matches!(head_read(&key, vec![0xA2], 1), Read::Unreadable));
        assert!(matches!(head_read(&key, Vec::new(), 0), Read::Nothing));
    }
}

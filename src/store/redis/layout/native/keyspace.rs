//! The keys of this crate's own layout: the prefix, and what stores know a session by.

use async_trait::async_trait;

use crate::id::SessionKey;
use crate::record::{Envelope, LONGEST_HEAD, RECORD_FORMAT};
use crate::store::redis::failure::Failure;
use crate::store::redis::layout::{Keyspace, Named};
use crate::store::redis::name::Prefix;
use crate::store::redis::redis_scan::reading::{Reader, Reading};
use crate::store::scan::SessionSummary;

#[derive(Debug)]
pub(in crate::store::redis::layout) struct NativeKeys {
    pub(in crate::store::redis::layout) prefix: Prefix,
}

#[async_trait]
impl Keyspace for NativeKeys {
    fn letter(&self) -> char {
        'n'
    }

    fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    fn pattern(&self) -> &'static str {
        "{????}:????????????????????????????"
    }

    fn session(&self, name: &str) -> Option<SessionKey> {
        SessionKey::from_storage_name(name)
    }

    fn first_byte(&self) -> u8 {
        RECORD_FORMAT
    }

    /// The beginning of each record, and its length.
    async fn read(&self, reader: &Reader<'_>, keys: &[Named]) -> Result<Vec<Reading>, Failure> {
        let questions = |name: &[u8]| {
            let mut head = redis::cmd("GETRANGE");
            head.arg(name).arg(0).arg(LONGEST_HEAD - 1);
            let mut length = redis::cmd("STRLEN");
            length.arg(name);
            [head, length]
        };
        let read = |(named, answers): (&Named, Option<[redis::Value; 2]>)| {
            let Some([head, length]) = answers else { return Ok(Reading::Nothing) };
            let head = redis::from_redis_value(head)?;
            Ok(head_read(&named.key, head, redis::from_redis_value(length)?))
        };
        keys.iter().zip(reader.ask(keys, questions).await?).map(read).collect()
    }

    /// The prefix stands before it all, so that permission for the prefix's keys will do.
    fn owners_key(&self, what: &str) -> (String, String) {
        (format!("{}{what}:", self.prefix.as_str()), String::new())
    }

    fn entry_name<'k>(&self, key: &'k SessionKey) -> &'k str {
        key.storage_name()
    }

    fn entry_key(&self, name: &str) -> Option<SessionKey> {
        SessionKey::from_storage_name(name)
    }
}

/// What the beginning of a record says, which is of this length as a whole.
fn head_read(key: &SessionKey, head: Vec<u8>, length: usize) -> Reading {
    if head.is_empty() {
        return Reading::Nothing;
    }
    let held = head.len();
    match Envelope::from_bytes(key, head.into()) {
        Ok(Envelope::Record(record)) => {
            let before_data = held - record.data.bytes().len();
            let mut summary = SessionSummary::new(key.clone(), &record);
            summary.data_bytes = length.saturating_sub(before_data);
            Reading::Session(Box::new(summary))
        }
        Ok(Envelope::Moved(_)) => Reading::Nothing,
        Err(_) => Reading::Unreadable,
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
            let Reading::Session(summary) = head_read(&key, head, bytes.len()) else { panic!("a session") };
            assert_eq!(*summary, SessionSummary::new(key.clone(), &record), "{owner} {label} {size}");
        }
        assert!(matches!(head_read(&key, vec![0xA1; 20], 20), Reading::Unreadable));
        assert!(matches!(head_read(&key, vec![0xA2], 1), Reading::Unreadable));
        assert!(matches!(head_read(&key, Vec::new(), 0), Reading::Nothing));
    }
}

//! The names of keys in Redis, and the Cluster slots that these are in.

use std::io::Write as _;

use redis::{RedisWrite, ToRedisArgs};

use crate::error::Error;
use crate::id::SessionKey;

/// What the names of a store's keys begin with.
#[derive(Clone, Debug)]
pub(super) struct Prefix(String);

impl Prefix {
    pub(super) fn new(prefix: String) -> Result<Self, Error> {
        // The first pair of braces in a key is its Cluster hash tag, and that has to be the lineage.
        if prefix.contains(['{', '}']) {
            return Err(Error::Config(format!(
                "the key prefix {prefix:?} must not contain braces: they would decide which Redis \
                 Cluster node holds a session; write \"myapp:\" rather than \"{{myapp}}:\""
            )));
        }
        Ok(Self(prefix))
    }

    /// A prefix by which another program has its keys, braces included.
    #[cfg(feature = "express")]
    pub(super) fn foreign(prefix: String) -> Self {
        Self(prefix)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn name<'a>(&'a self, key: &'a SessionKey) -> Name<'a> {
        Name { prefix: &self.0, key }
    }
}

/// A part of a name as it is written in a pattern for `MATCH`.
pub(super) fn escaped(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for c in part.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// One of the parts that Redis Cluster divides the keys into.
pub(super) type Slot = u16;
pub(super) const SLOTS: Slot = 16384;

/// The name of a key, written straight into a command.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    prefix: &'a str,
    key: &'a SessionKey,
}

impl Name<'_> {
    /// Of the hash tag alone, which is the lineage, as
    /// [the specification](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags)
    /// has it.
    pub(super) fn slot(&self) -> Slot {
        slot(self.key.lineage().as_bytes())
    }
}

/// The slot of a hash tag, or of a name without one.
pub(super) fn slot(tag: &[u8]) -> Slot {
    crc16(tag) % SLOTS
}

/// The slot of a key, which may have a hash tag: what is between its first `{` and the first `}` after that, unless
/// that is nothing.
pub(super) fn slot_of_key(name: &[u8]) -> Slot {
    slot(hash_tag(name).unwrap_or(name))
}

pub(super) fn hash_tag(name: &[u8]) -> Option<&[u8]> {
    let begin = name.iter().position(|byte| *byte == b'{')? + 1;
    let length = name[begin..].iter().position(|byte| *byte == b'}').filter(|length| *length > 0)?;
    Some(&name[begin..begin + length])
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| crc << 8 ^ CRC_OF_BYTE[usize::from(crc >> 8 ^ u16::from(*byte))])
}

const CRC_OF_BYTE: [u16; 256] = {
    let (mut table, mut byte) = ([0; 256], 0);
    while byte < 256_u16 {
        let (mut crc, mut bits) = (byte << 8, 8);
        while bits > 0 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
            bits -= 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

impl ToRedisArgs for Name<'_> {
    fn write_redis_args<W: RedisWrite + ?Sized>(&self, out: &mut W) {
        let mut argument = out.writer_for_next_arg();
        for part in [self.prefix.as_bytes(), self.key.storage_bytes()] {
            argument.write_all(part).expect("commands are written to memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionId;

    #[test]
    fn a_name_is_the_prefix_and_the_storage_name() {
        let key = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap().key();
        let prefix = Prefix::new("session:".to_owned()).unwrap();
        let name = prefix.name(&key).to_redis_args();
        assert_eq!(name, [b"session:{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK"]);
    }

    /// The check value of the catalogue of CRCs, and what a server says to `CLUSTER KEYSLOT`.
    #[test]
    fn the_slot_is_that_of_the_lineage() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        let key = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap().key();
        let prefix = Prefix::new("session:".to_owned()).unwrap();
        assert_eq!(prefix.name(&key).slot(), 5293);
    }

    #[test]
    fn braces_in_a_prefix_are_refused_with_advice() {
        for prefix in ["{app}:", "app{", "app}:"] {
            let error = Prefix::new(prefix.to_owned()).unwrap_err().to_string();
            assert!(error.contains(prefix) && error.contains("myapp:"), "{error}");
        }
    }

    #[test]
    fn the_slot_of_a_key_is_that_of_its_hash_tag_if_it_has_one() {
        for (key, tag) in [
            ("plain", "plain"),
            ("{user}.following", "user"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("a}b{c", "a}b{c"),
            ("a}b{c}", "c"),
        ] {
            assert_eq!(slot_of_key(key.as_bytes()), slot(tag.as_bytes()), "{key}");
        }
    }
}

//! The member that this crate adds to a session of Express, and Node keeps without knowing it.
//!
//! `"__session_store":"<revision><previous><rest><seal>"`, the last member of a value that this crate wrote.
//! A revision is 11 characters of base64url, and `AAAAAAAAAAA` is none. The rest is base64url of
//!
//! ```text
//!  0  flags       1: expiry of its own, 2: idle timeout alone, 4: it has an owner, 8: a label,
//!                 16: extensions, 32: an idle timeout, 64: a deadline
//!  1  the end of the hash of the session's id, 4 bytes
//!  5  created_at, in milliseconds; expires_at, in milliseconds since then; by flags: the idle timeout, in milliseconds;
//!     the deadline, in milliseconds since created_at; the length of the owner, and the owner; the length of the label,
//!     and the label; the extensions up to the end
//! ```
//!
//! A number has 7 bits in each byte, the lowest first, and the bit 128 in all but the last.
//!
//! The seal is 12 hexadecimal digits of the SHA-1 of all of the value before it: if it is broken, Node wrote the
//! session since. (48 bits tell a write of Node's from none; they keep no attacker out, who could write the value
//! as well.)
//!
//! The part of the id's hash binds the member to its session. Node copies members from one session to another, as
//! passport does with `keepSessionInfo`: what is said of the one is not true of the other.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha1::{Digest as _, Sha1};

use crate::clock::{Timestamp, millis_rounded_up};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Extensions, Label, Owner, Record, Revision};

/// The member's name.
pub(super) const OURS: &str = "__session_store";
pub(super) const SEAL_LENGTH: usize = 12;
/// How long the text of a revision is.
pub(super) const REVISION_LENGTH: usize = 11;
const BINDING_LENGTH: usize = 4;
/// The number of bytes that a number takes at most.
const LONGEST_NUMBER: usize = 10;
const SHORTEST_REST: usize = 1 + BINDING_LENGTH + 2;
const LONGEST_REST: usize = 1
    + BINDING_LENGTH
    + 4 * LONGEST_NUMBER
    + (2 + Owner::MAX_LENGTH)
    + (2 + Label::MAX_LENGTH)
    + Extensions::MAX_LENGTH;
/// How long the member's text is.
pub(super) const SHORTEST: usize = 2 * REVISION_LENGTH + digits(SHORTEST_REST) + SEAL_LENGTH;
pub(super) const LONGEST: usize = 2 * REVISION_LENGTH + digits(LONGEST_REST) + SEAL_LENGTH;
/// What follows the seal in a value.
pub(super) const CLOSING: &str = "\"}";

const OWN_EXPIRY: u8 = 1;
const OWN_IDLE_TIMEOUT: u8 = 2;
const OWNED: u8 = 4;
const LABELLED: u8 = 8;
const EXTENDED: u8 = 16;
const IDLE_TIMEOUT: u8 = 32;
const DEADLINE: u8 = 64;
const KNOWN_FLAGS: u8 = 0x7F;

/// How many characters of base64url these bytes take.
const fn digits(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// The versions of a value, as a script sees them too.
pub(super) struct Versions {
    pub(super) revision: Revision,
    pub(super) previous: Option<Revision>,
}

impl Versions {
    /// Those of a session's whole value. One that Node wrote last has a part of its hash for a revision.
    pub(super) fn of(value: &[u8]) -> Self {
        let member = last_member(value);
        let read = |nth: usize| revision(member?.get(nth * REVISION_LENGTH..(nth + 1) * REVISION_LENGTH)?);
        let (own, previous) = (read(0), read(1));
        let sealed = member.is_some_and(|member| {
            let body = &value[..value.len() - SEAL_LENGTH - CLOSING.len()];
            member.as_bytes().ends_with(&seal(body))
        });
        match own {
            Some(own) if sealed => Self { revision: own, previous },
            _ => Self { revision: of_node(value), previous: own },
        }
    }
}

/// The revision of a value that Node wrote.
fn of_node(value: &[u8]) -> Revision {
    let first = *Sha1::digest(value).first_chunk().expect("a hash has 20 bytes");
    // One hash in 2^64 is none. Nothing can be written over its value, and it is read like any other.
    Revision::from_bytes(first).unwrap_or_else(Revision::fresh)
}

/// The seal of all that comes before it.
fn seal(body: &[u8]) -> [u8; SEAL_LENGTH] {
    let hash = Sha1::digest(body);
    let digit = |at: usize| hash[at / 2] >> (4 * (1 - at % 2)) & 15;
    std::array::from_fn(|at| b"0123456789abcdef"[usize::from(digit(at))])
}

/// The text of this crate's member if that is what the value ends with.
fn last_member(value: &[u8]) -> Option<&str> {
    let open = value.strip_suffix(CLOSING.as_bytes())?;
    let text =
        open.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count();
    let (before, member) = open.split_at(open.len() - text);
    let named = before.strip_suffix(b"\":\"")?.strip_suffix(OURS.as_bytes())?.ends_with(b"\"");
    let member =
        std::str::from_utf8(member).ok().filter(|member| (SHORTEST..=LONGEST).contains(&member.len()));
    member.filter(|_| named)
}

/// What a script compares with the revision of a value.
pub(super) fn text(revision: Revision) -> String {
    URL_SAFE_NO_PAD.encode(revision.to_bytes())
}

/// What a script compares with the version that a write expects: as this crate writes it, and as the beginning of
/// the hash of a value that Node wrote.
pub(super) fn expected(revision: Revision) -> String {
    format!("{}{:016x}", text(revision), u64::from_be_bytes(revision.to_bytes()))
}

fn revision(text: &str) -> Option<Revision> {
    let mut bytes = [0; 9];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    Revision::from_bytes(bytes[..length].try_into().ok()?)
}

/// The member's text, up to where its seal belongs.
pub(super) fn write(key: &SessionKey, record: &Record) -> String {
    let (owner, label) = (record.owner.as_ref(), record.label.as_ref());
    let extensions = record.extensions.as_bytes();
    let of = |set: bool, flag: u8| if set { flag } else { 0 };
    let flags = of(record.own_expiry, OWN_EXPIRY)
        | of(record.own_idle_timeout, OWN_IDLE_TIMEOUT)
        | of(owner.is_some(), OWNED)
        | of(label.is_some(), LABELLED)
        | of(!extensions.is_empty(), EXTENDED)
        | of(record.idle_timeout.is_some(), IDLE_TIMEOUT)
        | of(record.absolute_deadline.is_some(), DEADLINE);
    let since = |time: Timestamp| millis_rounded_up(time.saturating_since(record.created_at));
    let mut rest = Vec::with_capacity(64);
    rest.push(flags);
    rest.extend(binding(key));
    add_number(&mut rest, record.created_at.as_millis());
    add_number(&mut rest, since(record.expires_at));
    if let Some(idle) = record.idle_timeout {
        add_number(&mut rest, millis_rounded_up(idle));
    }
    if let Some(deadline) = record.absolute_deadline {
        add_number(&mut rest, since(deadline));
    }
    for text in [owner.map(Owner::as_str), label.map(Label::as_str)].into_iter().flatten() {
        add_number(&mut rest, text.len() as u64);
        rest.extend(text.as_bytes());
    }
    rest.extend(extensions);
    let previous = record.previous_revision.map_or([0; 8], Revision::to_bytes);
    let mut out = text(record.revision);
    URL_SAFE_NO_PAD.encode_string(previous, &mut out);
    URL_SAFE_NO_PAD.encode_string(rest, &mut out);
    out
}

/// Adds to a record what the member of the session under `key` says. `false` if it is about another session.
pub(super) fn read(key: &SessionKey, text: &str, record: &mut Record) -> Result<bool, Error> {
    let unreadable = |reason| Error::Unreadable { key: key.clone(), reason };
    let fits = (SHORTEST..=LONGEST).contains(&text.len());
    let rest = text.get(2 * REVISION_LENGTH..text.len().saturating_sub(SEAL_LENGTH)).filter(|_| fits);
    let rest = rest.and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok());
    let rest =
        rest.ok_or_else(|| unreadable("its member `__session_store` was not written by this crate"))?;
    let mut rest = Fields { rest: &rest, key };
    let flags = rest.take(1)?[0];
    if rest.take(BINDING_LENGTH)? != binding(key) {
        return Ok(false);
    }
    if flags & !KNOWN_FLAGS != 0 {
        return Err(Error::NewerFormat { key: key.clone(), format: flags });
    }
    let has = |flag| flags & flag != 0;
    record.created_at = Timestamp::from_millis(rest.number()?);
    record.expires_at = record.created_at.saturating_add(rest.millis()?);
    if has(IDLE_TIMEOUT) {
        record.idle_timeout = Some(rest.millis()?);
    }
    if has(DEADLINE) {
        record.absolute_deadline = Some(record.created_at.saturating_add(rest.millis()?));
    }
    let unfit = |_| unreadable("its owner or label is too long or empty");
    if has(OWNED) {
        record.owner = Some(Owner::new(rest.text()?).map_err(unfit)?);
    }
    if has(LABELLED) {
        record.label = Some(Label::new(rest.text()?).map_err(unfit)?);
    }
    if has(EXTENDED) {
        let extensions = Extensions::from_bytes(key, std::mem::take(&mut rest.rest));
        record.extensions = extensions.map_err(|error| match error {
            Error::Corrupt { reason, .. } => unreadable(reason),
            newer => newer,
        })?;
    }
    if !rest.rest.is_empty() {
        return Err(unreadable("its member `__session_store` is too long"));
    }
    record.own_expiry = has(OWN_EXPIRY);
    record.own_idle_timeout = has(OWN_IDLE_TIMEOUT);
    Ok(true)
}

fn binding(key: &SessionKey) -> [u8; BINDING_LENGTH] {
    *key.fingerprint().to_be_bytes().last_chunk().expect("it has 16 bytes")
}

fn add_number(out: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return;
        }
        out.push(low | 128);
    }
}

struct Fields<'a> {
    rest: &'a [u8],
    key: &'a SessionKey,
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let cut_short = || Error::Unreadable {
            key: self.key.clone(),
            reason: "its member `__session_store` is cut short",
        };
        let taken = self.rest.get(..length).ok_or_else(cut_short)?;
        self.rest = &self.rest[length..];
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, Error> {
        let is_whole = |length: &usize| self.rest.get(length - 1).is_some_and(|byte| byte & 128 == 0);
        let length = (1..=LONGEST_NUMBER).find(is_whole).unwrap_or(LONGEST_NUMBER);
        // What is too large for 64 bits loses its highest ones.
        let add = |number: u64, byte: &u8| number << 7 | u64::from(byte & 127);
        Ok(self.take(length)?.iter().rev().fold(0, add))
    }

    fn millis(&mut self) -> Result<Duration, Error> {
        self.number().map(Duration::from_millis)
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let text = std::str::from_utf8(self.take(length)?);
        text.map_err(|_| Error::Unreadable {
            key: self.key.clone(),
            reason: "its owner or label is not text",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Payload, SessionId};

    fn key(id: &str) -> SessionKey {
        SessionId::express(id).unwrap().key()
    }

    fn blank() -> Record {
        Record::new(Timestamp::from_millis(0), Timestamp::from_millis(0), Payload::new(1, "{}"))
    }

    fn full() -> Record {
        Record {
            created_at: Timestamp::from_millis(1_795_252_959_517),
            expires_at: Timestamp::from_millis(1_795_256_559_517),
            idle_timeout: Some(Duration::from_millis(7)),
            absolute_deadline: Some(Timestamp::from_millis(u64::MAX)),
            own_expiry: true,
            own_idle_timeout: true,
            owner: Some(Owner::new("o".repeat(Owner::MAX_LENGTH)).unwrap()),
            label: Some(Label::new("l".repeat(Label::MAX_LENGTH)).unwrap()),
            extensions: Extensions::from_bytes(
                &key("a"),
                &[&[0x7F, 3, 0xFD][..], &[7; Extensions::MAX_LENGTH - 3]].concat(),
            )
            .unwrap(),
            previous_revision: Revision::from_bytes(*b"previous"),
            ..blank()
        }
    }

    fn sealed(open: &str) -> String {
        format!("{open}{}{CLOSING}", str::from_utf8(&seal(open.as_bytes())).unwrap())
    }

    fn value(record: &Record) -> String {
        sealed(&format!("{{\"cookie\":{{}},\"{OURS}\":\"{}", write(&key("a"), record)))
    }

    fn base16(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn text_in(value: &str) -> &str {
        last_member(value.as_bytes()).unwrap()
    }

    #[test]
    fn each_field_is_read_back_and_the_bounds_are_met() {
        let longest = LONGEST - digits(3 * LONGEST_NUMBER)..=LONGEST;
        for (record, length) in [(full(), longest), (blank(), SHORTEST..=SHORTEST)] {
            let value = value(&record);
            assert!(length.contains(&text_in(&value).len()), "{length:?}");
            let mut back = blank();
            assert!(read(&key("a"), text_in(&value), &mut back).unwrap());
            let Versions { revision, previous } = Versions::of(value.as_bytes());
            assert_eq!(Record { revision, previous_revision: previous, ..back }, record);
        }
    }

    /// Who is signed in to one session is nobody in another.
    #[test]
    fn a_copy_in_another_session_says_nothing() {
        let value = value(&full());
        let mut record = blank();
        let before = record.clone();
        assert!(!read(&key("b"), text_in(&value), &mut record).unwrap());
        assert_eq!(record, before);
    }

    #[test]
    fn what_node_writes_has_a_part_of_its_hash_for_a_revision() {
        let record = full();
        let ours = value(&record);
        let by_node = ours.replace("\"cookie\":{}", "\"cookie\":{},\"user\":\"ada\"");
        let hash = base16(&Sha1::digest(&by_node));
        let Versions { revision, previous } = Versions::of(by_node.as_bytes());
        assert_eq!((format!("{revision:?}"), previous), (hash[..16].to_owned(), Some(record.revision)));
        assert_eq!(expected(revision), text(revision) + &hash[..16]);
        // Members that Node adds come last, and its own sessions have none of this crate's.
        for value in [ours.replace("\"}", "\",\"user\":\"ada\"}"), "{\"cookie\":{}}".to_owned()] {
            assert_eq!(Versions::of(value.as_bytes()).previous, None, "{value}");
        }
    }

    #[test]
    fn what_is_no_member_is_unreadable_and_what_a_later_version_writes_is_kept_away_from() {
        let value = value(&full());
        let read = |text: &str| read(&key("a"), text, &mut blank());
        let text = text_in(&value);
        for broken in ["", "a", &text[..30], &text[..60], &text[..text.len() - 1], &text.replace('A', "!")] {
            assert!(matches!(read(broken), Err(Error::Unreadable { .. })), "{broken}");
        }
        let rest = &text[2 * REVISION_LENGTH..text.len() - SEAL_LENGTH];
        let mut bytes = URL_SAFE_NO_PAD.decode(rest).unwrap();
        bytes.push(0);
        let longer = text.replace(rest, &URL_SAFE_NO_PAD.encode(&bytes));
        assert!(read(&longer).is_err());
        bytes.pop();
        bytes[0] |= !KNOWN_FLAGS;
        let newer = text.replace(rest, &URL_SAFE_NO_PAD.encode(&bytes));
        assert!(matches!(read(&newer), Err(Error::NewerFormat { .. })));
    }
}

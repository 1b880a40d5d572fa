//! What a client holds (`SessionId`) and what a store sees of it (`SessionKey`).

#[cfg(feature = "express")]
mod express;
mod foreign;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use self::foreign::Foreign;
use crate::random;

#[cfg(feature = "express")]
pub(crate) use self::express::LONGEST_ID as LONGEST_EXPRESS_ID;

/// Length of an id's text.
pub(crate) const ID_LENGTH: usize = 32;
/// The id's first 3 bytes are 4 characters of base64url; rotation keeps them.
const LINEAGE_LENGTH: usize = 4;
/// `{lineage}:hash`, braces included.
pub(crate) const NAME_LENGTH: usize = LINEAGE_LENGTH + 3 + DIGEST_LENGTH;
const DIGEST_LENGTH: usize = 28;
/// As many bits of the hash as an id has fresh ones: more would only take memory.
const DIGEST_BYTES: usize = 21;
const LINEAGE_BYTES: usize = 3;
/// A key's name without what all names have in common.
pub(crate) const COMPACT_KEY_LENGTH: usize = LINEAGE_BYTES + DIGEST_BYTES;
const KEY_DOMAIN: &[u8] = b"session-store key v1:";

/// The secret that a session's cookie carries: 24 random bytes as 32 characters of base64url.
///
/// 192 bits come from the operating system's generator. The first 24 of them, the *lineage*, stay
/// the same when a session is given a new id, so that old and new live in one Redis Cluster slot;
/// the other 168 are drawn afresh (OWASP ASVS 7.2.3 asks for 128). An id has no other meaning.
///
/// There is no `Display`, and `Debug` shows nothing, so that an id cannot end up in a log. Applications hardly need
/// it; custom stores and their tests do.
///
/// ```
/// use session_store::SessionId;
///
/// let id = SessionId::generate();
/// assert_eq!(id.as_str().len(), 32);
/// assert_eq!(format!("{id:?}"), "SessionId(..)");
/// assert!(SessionId::parse("not an id").is_none());
/// ```
#[derive(Clone)]
pub struct SessionId {
    form: Form,
    /// Hashed at the first use.
    key: OnceLock<SessionKey>,
}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Native([u8; ID_LENGTH]),
    Foreign(Foreign),
}

impl SessionId {
    /// Draws a new id. See the [example](Self).
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        Form::Native(text_of(random::bytes())).into()
    }

    /// Reads an id's text: exactly 32 characters of the base64url alphabet; anything else is
    /// `None`. So nothing malformed ever reaches a store.
    ///
    /// ```
    /// use session_store::SessionId;
    ///
    /// let id = SessionId::generate();
    /// assert_eq!(SessionId::parse(id.as_str()), Some(id));
    /// assert_eq!(SessionId::parse("'; DROP TABLE sessions; --"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        native(text).map(|bytes| Form::Native(bytes).into())
    }

    /// The same id, stored as express-session does, with the feature `express`.
    pub(crate) fn into_foreign(self) -> Self {
        match (&self.form, Foreign::new(self.as_str())) {
            (Form::Native(_), Some(foreign)) => Form::Foreign(foreign).into(),
            _ => self,
        }
    }

    /// Whether it has the shape of this crate's own ids.
    #[cfg(feature = "json")]
    pub(crate) fn is_native(&self) -> bool {
        match &self.form {
            Form::Native(_) => true,
            Form::Foreign(sid) => native(sid).is_some(),
        }
    }

    /// The id's text. See the example of [`parse`](Self::parse).
    ///
    /// It is a bearer credential: anybody who reads it *is* the visitor.
    ///
    /// # Panics
    ///
    /// Never: an id is text by construction.
    pub fn as_str(&self) -> &str {
        match &self.form {
            Form::Native(bytes) => std::str::from_utf8(bytes).expect("ids are ASCII"),
            Form::Foreign(sid) => sid,
        }
    }

    /// Draws a new id of the same lineage, with 168 fresh bits.
    ///
    /// ```
    /// use session_store::SessionId;
    ///
    /// let id = SessionId::generate();
    /// let renewed = id.rotated();
    /// assert_ne!(renewed, id);
    /// // One slot of a Redis Cluster, so that a session moves in one atomic step.
    /// assert_eq!(renewed.key().lineage(), id.key().lineage());
    /// ```
    #[must_use]
    pub fn rotated(&self) -> Self {
        let mut next = text_of(random::bytes());
        next[..LINEAGE_LENGTH].copy_from_slice(&self.lineage());
        let next = Self::from(Form::Native(next));
        match &self.form {
            Form::Native(_) => next,
            Form::Foreign(_) => next.into_foreign(),
        }
    }

    /// The key under which stores keep the session: a hash, from which the id can't be told.
    ///
    /// ```
    /// use session_store::{SessionId, SessionKey};
    ///
    /// let key = SessionId::generate().key();
    /// assert_eq!(SessionKey::from_storage_name(key.storage_name()), Some(key));
    /// ```
    pub fn key(&self) -> SessionKey {
        self.key.get_or_init(|| self.hashed()).clone()
    }

    fn hashed(&self) -> SessionKey {
        let mut name = [0; NAME_LENGTH];
        name[0] = b'{';
        name[1..=LINEAGE_LENGTH].copy_from_slice(&self.lineage());
        name[LINEAGE_LENGTH + 1] = b'}';
        name[LINEAGE_LENGTH + 2] = b':';
        name[NAME_LENGTH - DIGEST_LENGTH..].copy_from_slice(&self.digest());
        SessionKey {
            name,
            foreign: match &self.form {
                Form::Native(_) => None,
                Form::Foreign(sid) => sid.to_key(),
            },
        }
    }

    fn digest(&self) -> [u8; DIGEST_LENGTH] {
        // Domain and a native id fill one block of SHA-256 exactly once: 21 + 32 <= 55 bytes.
        let hash = Sha256::new().chain_update(KEY_DOMAIN).chain_update(self.as_str()).finalize();
        let mut digest = [0; DIGEST_LENGTH];
        URL_SAFE_NO_PAD.encode_slice(&hash[..DIGEST_BYTES], &mut digest).expect("21 bytes are 28 characters");
        digest
    }

    /// The beginning of a native id; a foreign one, which may begin with anything, has one of its own.
    fn lineage(&self) -> [u8; LINEAGE_LENGTH] {
        match &self.form {
            Form::Native(bytes) => *bytes.first_chunk().expect("an id is longer"),
            Form::Foreign(sid) => match native(sid) {
                Some(bytes) => *bytes.first_chunk().expect("an id is longer"),
                None => *self.digest().first_chunk().expect("a digest is longer"),
            },
        }
    }
}

impl From<Form> for SessionId {
    fn from(form: Form) -> Self {
        Self { form, key: OnceLock::new() }
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
    }
}

impl Eq for SessionId {}

/// The text of an id of this crate's own.
fn native(text: &str) -> Option<[u8; ID_LENGTH]> {
    let bytes: [u8; ID_LENGTH] = text.as_bytes().try_into().ok()?;
    bytes.iter().copied().all(is_base64url).then_some(bytes)
}

fn text_of(bytes: [u8; 24]) -> [u8; ID_LENGTH] {
    let mut text = [0; ID_LENGTH];
    URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).expect("24 bytes are 32 characters");
    text
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// The key under which a store keeps a session: its lineage and 168 bits of a SHA-256 of the id.
///
/// A dump of a store, `MONITOR` or `KEYS` shows keys, and no cookie can be made from a key. So
/// `Debug` and `Display`, which print the digest, are safe to log and to show to people.
///
/// ```
/// use session_store::SessionId;
///
/// let id = SessionId::generate();
/// assert_eq!(id.key(), id.key());
/// assert!(!id.key().storage_name().contains(id.as_str()));
/// ```
#[derive(Clone)]
pub struct SessionKey {
    name: [u8; NAME_LENGTH],
    /// The id, for sessions that are kept as express-session does: under the id itself.
    #[cfg_attr(not(feature = "express"), expect(dead_code, reason = "it is nothing"))]
    foreign: Option<Foreign>,
}

impl SessionKey {
    /// The name to store the session under, after a prefix: `{lineage}:digest`.
    ///
    /// The braces are a Redis Cluster hash tag: a session's keys stay in one slot when it rotates.
    ///
    /// ```
    /// use session_store::SessionId;
    ///
    /// let key = SessionId::generate().key();
    /// let redis_key = format!("session:{}", key.storage_name());
    /// assert_eq!(redis_key.len(), 43);
    /// ```
    ///
    /// # Panics
    ///
    /// Never: a name is ASCII by construction.
    pub fn storage_name(&self) -> &str {
        std::str::from_utf8(&self.name).expect("storage names are ASCII")
    }

    /// The same, for what takes bytes.
    #[cfg(feature = "redis")]
    pub(crate) fn storage_bytes(&self) -> &[u8] {
        &self.name
    }

    /// Reads a [`storage_name`](Self::storage_name) back; `None` if it is not one.
    ///
    /// ```
    /// use session_store::{SessionId, SessionKey};
    ///
    /// // From the list of sessions that a user is shown, to the one that is signed out.
    /// let key = SessionId::generate().key();
    /// let form = key.storage_name().to_owned();
    /// assert_eq!(SessionKey::from_storage_name(&form), Some(key));
    /// assert_eq!(SessionKey::from_storage_name("anything"), None);
    /// ```
    pub fn from_storage_name(name: &str) -> Option<Self> {
        let name: [u8; NAME_LENGTH] = name.as_bytes().try_into().ok()?;
        let framed = name[0] == b'{' && name[5] == b'}' && name[6] == b':';
        let well_formed = name[1..5].iter().chain(&name[7..]).copied().all(is_base64url);
        (framed && well_formed).then_some(Self { name, foreign: None })
    }

    /// The part that all keys of a session have in common, through all its ids: 4 characters, which keep them in
    /// one slot of a Redis Cluster. Two sessions share them by chance once in 16 million times.
    ///
    /// ```
    /// use session_store::SessionId;
    ///
    /// let id = SessionId::generate();
    /// assert_eq!(id.key().lineage(), id.rotated().key().lineage());
    /// ```
    pub fn lineage(&self) -> &str {
        &self.storage_name()[1..=LINEAGE_LENGTH]
    }

    /// The bytes that lineage and digest are written with.
    pub(crate) fn to_compact(&self) -> [u8; COMPACT_KEY_LENGTH] {
        let mut bytes = [0; COMPACT_KEY_LENGTH];
        let (lineage, digest) = bytes.split_at_mut(LINEAGE_BYTES);
        for (text, bytes) in [(self.lineage(), lineage), (self.digest(), digest)] {
            URL_SAFE_NO_PAD.decode_slice(text, bytes).expect("names are base64url");
        }
        bytes
    }

    pub(crate) fn from_compact(bytes: [u8; COMPACT_KEY_LENGTH]) -> Self {
        let mut name = *b"{AAAA}:AAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let (lineage, digest) = bytes.split_at(LINEAGE_BYTES);
        for (from, bytes) in [(1, lineage), (NAME_LENGTH - DIGEST_LENGTH, digest)] {
            URL_SAFE_NO_PAD.encode_slice(bytes, &mut name[from..]).expect("3 bytes are 4 characters");
        }
        Self { name, foreign: None }
    }

    /// 126 bits of the digest: enough to tell any two sessions apart, in less room than a key.
    #[cfg(feature = "json")]
    pub(crate) fn fingerprint(&self) -> u128 {
        let sixth = |byte: u8| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        self.name[NAME_LENGTH - 21..].iter().fold(0, |bits, byte| bits << 6 | u128::from(sixth(*byte)))
    }

    fn digest(&self) -> &str {
        &self.storage_name()[NAME_LENGTH - DIGEST_LENGTH..]
    }
}

impl PartialEq for SessionKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SessionKey {}

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The digest is uniform already; a part of it is as good as the whole name.
        state.write(&self.name[NAME_LENGTH - 16..]);
    }
}

/// As its storage name.
#[cfg(feature = "json")]
impl serde::Serialize for SessionKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.storage_name())
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digest())
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", self.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// SECURITY 1: 192 bits at creation, 168 fresh ones at rotation.
    #[test]
    fn ids_are_fresh_and_rotation_keeps_only_the_lineage() {
        let ids: Vec<_> = (0..10_000).map(|_| SessionId::generate()).collect();
        let distinct: HashSet<_> = ids.iter().map(SessionId::as_str).collect();
        assert_eq!(distinct.len(), ids.len());

        let id = &ids[0];
        let rotations: Vec<_> = (0..1000).map(|_| id.rotated()).collect();
        assert!(rotations.iter().all(|r| r.as_str()[..4] == id.as_str()[..4]));
        let tails: HashSet<_> = rotations.iter().map(|r| &r.as_str()[4..]).collect();
        assert_eq!(tails.len(), rotations.len());
        // Every character position of the tail varies: no bit of it is fixed by mistake.
        for position in 4..ID_LENGTH {
            let seen: HashSet<_> = rotations.iter().map(|r| r.as_str().as_bytes()[position]).collect();
            assert!(seen.len() > 32, "position {position} shows only {} values", seen.len());
        }
    }

    /// SECURITY 4.
    #[test]
    fn parse_accepts_exactly_the_shape_of_an_id() {
        let id = SessionId::generate();
        assert_eq!(SessionId::parse(id.as_str()).as_ref(), Some(&id));
        let text = id.as_str();
        for bad in [
            String::new(),
            text[..31].to_owned(),
            format!("{text}A"),
            text.replacen(&text[5..6], "=", 1),
            format!("{}\0", &text[..31]),
            format!("{}é", &text[..30]),
            format!("{}/", &text[..31]),
            format!("{}*", &text[..31]),
        ] {
            assert_eq!(SessionId::parse(&bad), None, "{bad:?}");
        }
    }

    /// SECURITY 21 and 23.
    #[test]
    fn neither_debug_nor_the_key_gives_the_id_away() {
        let id = SessionId::generate();
        let key = id.key();
        for shown in [format!("{id:?}"), format!("{key:?}"), key.to_string()] {
            assert!(!shown.contains(&id.as_str()[4..]), "{shown}");
        }
        // Nothing that a store sees has the shape of an id.
        assert_eq!(SessionId::parse(key.digest()), None);
        // As an id, the digest with a lineage before it leads elsewhere.
        let disguised = SessionId::parse(&format!("AAAA{}", key.digest())).expect("the shape of an id");
        assert_ne!(disguised.key(), key);
    }

    #[cfg(feature = "json")]
    #[test]
    fn fingerprints_tell_sessions_apart_and_nothing_else() {
        let id = SessionId::generate();
        let read = SessionKey::from_storage_name(id.key().storage_name()).unwrap();
        assert_eq!(id.key().fingerprint(), read.fingerprint());
        let many: HashSet<_> = (0..10_000).map(|_| id.rotated().key().fingerprint()).collect();
        assert_eq!(many.len(), 10_000);
        // The last 21 characters of 64 each.
        let key = |name| SessionKey::from_storage_name(name).unwrap().fingerprint();
        assert_eq!(key("{AAAA}:_______AAAAAAAAAAAAAAAAAAAAB"), 1);
        assert_eq!(key("{AAAA}:AAAAAAA_____________________"), (1 << 126) - 1);
    }

    #[test]
    fn storage_names_are_frozen_and_read_back() {
        // printf session-store\ key\ v1:AAAA... | openssl dgst -sha256 -binary | head -c 21 | basenc --base64url
        let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(id.key().storage_name(), "{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK");
        let key = SessionId::generate().key();
        assert_eq!(SessionKey::from_storage_name(key.storage_name()).as_ref(), Some(&key));
        assert_eq!(SessionKey::from_storage_name("{AAAA}:short"), None);
        assert_eq!(SessionKey::from_compact(key.to_compact()), key);
        let glob = key.storage_name().replace(':', "*");
        assert_eq!(SessionKey::from_storage_name(&glob), None);
    }
}

//! The keys that cookies are signed with.

use std::fmt;

use hmac::Mac as _;

use super::express;
use super::placeholder;
use super::signing::keyed;
use crate::error::Error;
use crate::random;

const SIGNING_PURPOSE: &[u8] = b"session-store cookie signing v1";
const HOW_TO_MAKE_ONE: &str = "make one with `openssl rand -base64 48`";
const COMMA: &str = "commas separate secrets, and this one may be part of a secret: give a file with one secret a line \
    (SESSION_SECRET_FILE, SESSION_SEAL_KEY_FILE), or build the `KeyRing` key by key";
const BLANK: &str = "it begins or ends with a blank, which may or may not be part of the secret: remove it, or if it is, \
    give a file with one secret a line, taken literally (SESSION_SECRET_FILE, SESSION_SEAL_KEY_FILE)";

/// A signing key, derived from a secret of at least 32 bytes that was drawn at random.
///
/// Placeholders, patterns and sequences are refused: an attacker who guesses the secret can sign any id.
///
/// ```
/// use session_store::Key;
///
/// let key = Key::new("N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o")?;
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// assert!(Key::new("keyboard cat").is_err());
/// assert!(Key::new("your-secret-key-change-in-production").is_err());
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone)]
pub struct Key(pub(super) [u8; 32]);

impl Key {
    /// The shortest secret, in bytes: as long as the signature's hash (RFC 2104 section 3).
    pub const MIN_SECRET_LENGTH: usize = 32;

    /// Derives the key of `secret`. The secret itself is not kept.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a secret under 32 bytes, and for one that is recognisably not random: made of words such
    /// as `secret` and `changeme`, repetitive, or a sequence. The message says how to make one, and does not repeat
    /// the secret.
    ///
    /// ```
    /// use session_store::Key;
    ///
    /// # fn from_vault() -> Vec<u8> { b"N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o".to_vec() }
    /// // Any bytes will do, if they are random.
    /// let key = Key::new(from_vault())?;
    /// let message = Key::new("too short").unwrap_err().to_string();
    /// assert!(message.contains("openssl rand"));
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        if secret.len() < Self::MIN_SECRET_LENGTH {
            return Err(Error::Config(format!(
                "the session secret has {} bytes and needs at least {}: {HOW_TO_MAKE_ONE}",
                secret.len(),
                Self::MIN_SECRET_LENGTH,
            )));
        }
        if let Some(fault) = placeholder::fault(secret) {
            return Err(Error::Config(format!("the session secret {fault}: {HOW_TO_MAKE_ONE}")));
        }
        Ok(Self::derive(secret))
    }

    /// A key for another purpose.
    pub(crate) fn derived(&self, purpose: &[u8]) -> [u8; 32] {
        keyed(&self.0).chain_update(purpose).finalize().into_bytes().into()
    }

    pub(super) fn derive(secret: &[u8]) -> Self {
        let derived = keyed(secret).chain_update(SIGNING_PURPOSE).finalize();
        Self(derived.into_bytes().into())
    }

    /// Makes a random key. Cookies signed with it are worthless once the process has ended.
    ///
    /// ```
    /// use session_store::{Key, KeyRing};
    ///
    /// // For tests.
    /// let ring = KeyRing::new(Key::generate());
    /// ```
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        Self(random::bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The keys that cookies are checked with: the first signs, all verify, old ones retire.
///
/// To rotate a secret, first let all instances verify the new one, listed after the old one; then put the new
/// one first, and keep the old one after it for as long as a session may live without use (its idle timeout, 30 days
/// or more with "remember me"; its absolute timeout where it has no idle one). A cookie verified by an old key
/// is sent again, signed by the first; an instance that does not have that key yet would take it for forged.
///
/// ```
/// use session_store::{Key, KeyRing};
///
/// # let (old, new) = ("N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o", "diZjtUdbn61E93zG3J0ZsGbl9xBue0PecU6nfxid");
/// let ring = KeyRing::new(Key::new(new)?).with_previous(Key::new(old)?);
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyRing {
    pub(super) primary: RingKey,
    pub(super) previous: Vec<RingKey>,
}

#[derive(Clone)]
pub(super) enum RingKey {
    Own(Key),
    Express(express::Secret),
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(key) => key.fmt(f),
            Self::Express(secret) => secret.fmt(f),
        }
    }
}

impl KeyRing {
    /// Makes a ring of one key.
    ///
    /// ```
    /// # let (_, new) = ("N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o", "diZjtUdbn61E93zG3J0ZsGbl9xBue0PecU6nfxid");
    /// use session_store::{Key, KeyRing};
    ///
    /// let ring = KeyRing::new(Key::new(new)?);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn new(primary: Key) -> Self {
        Self { primary: RingKey::Own(primary), previous: Vec::new() }
    }

    /// Adds a key that still verifies, but no longer signs.
    ///
    /// ```
    /// # let (old, new) = ("N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o", "diZjtUdbn61E93zG3J0ZsGbl9xBue0PecU6nfxid");
    /// use session_store::{Key, KeyRing};
    ///
    /// // The first deploy of a rotation: the old secret signs, and the new one is known everywhere.
    /// let ring = KeyRing::new(Key::new(old)?).with_previous(Key::new(new)?);
    /// // The second one: the new one signs.
    /// let ring = KeyRing::new(Key::new(new)?).with_previous(Key::new(old)?);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    #[must_use]
    pub fn with_previous(mut self, key: Key) -> Self {
        self.previous.push(RingKey::Own(key));
        self
    }

    /// Makes a ring for cookies as express-session makes and reads them. `secret` is the Express service's own, of any
    /// length, `keyboard cat` included: with another one, every cookie that the service has set would count as forged.
    /// Knowing it allows signing ids, but not guessing one that is stored.
    ///
    /// Such a signature does not cover the cookie's name, so services that share a secret must not
    /// accept each other's sessions for a different purpose.
    ///
    /// ```
    /// use session_store::KeyRing;
    ///
    /// // As `session({ secret: ["new secret", "keyboard cat"] })` in Node.
    /// let ring = KeyRing::express("new secret")?.with_previous_express("keyboard cat")?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an empty secret.
    #[cfg(feature = "express")]
    pub fn express(secret: impl AsRef<str>) -> Result<Self, Error> {
        let primary = RingKey::Express(express::Secret::new(secret.as_ref())?);
        Ok(Self { primary, previous: Vec::new() })
    }

    /// Adds a secret of express-session that still verifies, but no longer signs. After a key of this crate, it
    /// lets visitors keep their sessions while their cookies leave Express' form.
    ///
    /// ```
    /// # let (_, new) = ("N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o", "diZjtUdbn61E93zG3J0ZsGbl9xBue0PecU6nfxid");
    /// use session_store::{Key, KeyRing};
    ///
    /// // The last step of a move: cookies are signed anew as they come by.
    /// let ring = KeyRing::new(Key::new(new)?).with_previous_express("keyboard cat")?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an empty secret.
    #[cfg(feature = "express")]
    pub fn with_previous_express(mut self, secret: impl AsRef<str>) -> Result<Self, Error> {
        self.previous.push(RingKey::Express(express::Secret::new(secret.as_ref())?));
        Ok(self)
    }

    /// Makes a ring of one random key, for a store that ends with the process anyway.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    ///
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        Self::new(Key::generate())
    }

    /// Reads a comma-separated list of secrets, as in `SESSION_SECRET`: the first signs. A blank may follow a comma.
    ///
    /// Only letters, digits and `+/=-_` can be listed, which covers secrets made as [`Key::new`] advises. If a secret
    /// has other characters, the comma may be one of them. That is an error, as is a blank at either end, since the
    /// wrong secret would verify no cookie. Give such secrets [one by one](Self::with_previous), or
    /// one a line in `SESSION_SECRET_FILE`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for such a list, and as [`Key::new`] for an unfit secret.
    ///
    /// ```
    /// # let (old, new) = ("N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o", "diZjtUdbn61E93zG3J0ZsGbl9xBue0PecU6nfxid");
    /// use session_store::KeyRing;
    ///
    /// let ring = KeyRing::parse(&format!("{new}, {old}"))?;
    /// assert!(KeyRing::parse("").is_err());
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn parse(secrets: &str) -> Result<Self, Error> {
        Self::of(&separate(secrets)?)
    }

    /// The same of secrets that have been told apart.
    pub(crate) fn of(secrets: &[&str]) -> Result<Self, Error> {
        let (first, previous) = secrets.split_first().ok_or_else(no_secret)?;
        let ring = Self::new(Key::new(first)?);
        previous.iter().try_fold(ring, |ring, secret| Ok(ring.with_previous(Key::new(secret)?)))
    }

    /// The same of secrets of express-session.
    pub(crate) fn of_express(secrets: &[&str]) -> Result<Self, Error> {
        let key = |secret: &&str| express::Secret::new(secret).map(RingKey::Express);
        let (first, previous) = secrets.split_first().ok_or_else(no_secret)?;
        let previous = previous.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Self { primary: key(first)?, previous })
    }
}

impl KeyRing {
    /// Keys for another purpose, one for each of the ring's; `None` if one of those is a secret of Express.
    #[cfg(feature = "seal")]
    pub(crate) fn derived(&self, purpose: &[u8]) -> Option<Vec<[u8; 32]>> {
        let derived = |key: &RingKey| match key {
            RingKey::Own(key) => Some(key.derived(purpose)),
            RingKey::Express(_) => None,
        };
        std::iter::once(&self.primary).chain(&self.previous).map(derived).collect()
    }
}

fn no_secret() -> Error {
    Error::Config(format!("there is no secret: {HOW_TO_MAKE_ONE}"))
}

/// Tells the secrets of a comma-separated list apart, and a secret with a comma in it from a list.
pub(crate) fn separate(secrets: &str) -> Result<Vec<&str>, Error> {
    let is_blank = |c: char| c.is_whitespace();
    if secrets.starts_with(is_blank) || secrets.ends_with(is_blank) {
        return Err(Error::Config(BLANK.to_owned()));
    }
    if !secrets.contains(',') {
        return Ok(vec![secrets]);
    }
    let can_be_listed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    let parts: Vec<_> = secrets.split(',').map(|part| part.strip_prefix(' ').unwrap_or(part)).collect();
    if parts.iter().all(|part| part.bytes().all(can_be_listed)) {
        Ok(parts)
    } else {
        Err(Error::Config(COMMA.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";

    #[test]
    fn secrets_are_checked_with_advice() {
        let short = format!("{SECRET},short");
        for bad in ["", "short", &short, &"x".repeat(32), "your-secret-key-change-in-production", ",", "a,"] {
            let message = KeyRing::parse(bad).unwrap_err().to_string();
            assert!(message.contains("`openssl rand -base64 48`"), "{message}");
            for secret in [SECRET, "your-secret", "xx"] {
                assert!(!message.contains(secret), "{message}");
            }
        }
        for list in [format!("{SECRET}, {SECRET}"), format!("{SECRET},{SECRET}")] {
            assert_eq!(KeyRing::parse(&list).unwrap().previous.len(), 1);
        }
    }

    /// Otherwise its parts would be taken for keys, or another key than the one meant be made.
    #[test]
    fn a_secret_with_a_comma_or_blanks_is_told_from_a_list() {
        for (ambiguous, advice) in [
            (format!("{SECRET},p#{SECRET}"), "commas"),
            (format!("{SECRET}!,{SECRET}"), "commas"),
            (format!("{SECRET},  {SECRET}"), "commas"),
            (format!("{SECRET} ,{SECRET}"), "commas"),
            (format!("{SECRET},\t{SECRET}"), "commas"),
            (format!("\"{SECRET}\",\"{SECRET}\""), "commas"),
            (format!("two words {SECRET},{SECRET}"), "commas"),
            (format!(" {SECRET}"), "blank"),
            (format!("{SECRET} "), "blank"),
            (format!("{SECRET}\n"), "blank"),
            (format!("{SECRET}\u{a0}"), "blank"),
            (format!("{SECRET},{SECRET} "), "blank"),
        ] {
            let message = KeyRing::parse(&ambiguous).unwrap_err().to_string();
            assert!(message.contains(advice) && message.contains("SESSION_SECRET_FILE"), "{message}");
            assert!(!message.contains(&SECRET[..8]), "{message}");
        }
        // By itself it may have whatever it likes.
        assert!(KeyRing::parse(&format!("p# \u{fc} {SECRET}")).is_ok());
        assert!(KeyRing::of(&[&format!(" {SECRET}, ")]).is_ok());
    }

    /// SECURITY 21.
    #[test]
    fn debug_does_not_leak_keys() {
        let ring = KeyRing::parse(SECRET).unwrap();
        assert_eq!(format!("{ring:?}"), "KeyRing { primary: Key(..), previous: [] }");
    }
}

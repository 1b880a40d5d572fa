//! The keys that cookies are signed with.

use std::fmt;

use hmac::Mac as _;

#[cfg(feature = "express")]
use super::express;
use super::signing::keyed;
use crate::error::Error;
use crate::random;

const SIGNING_PURPOSE: &[u8] = b"session-store cookie signing v1";
const HOW_TO_MAKE_ONE: &str = "make one with `openssl rand -base64 48`";

/// A signing key, derived from a secret of at least 32 bytes.
///
/// ```
/// use session_store::Key;
///
/// let key = Key::new("N0mG4bU1XlqjK0hYr2Sg7vTfZ8cWdE5o")?;
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// assert!(Key::new("keyboard cat").is_err());
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
    /// [`Error::Config`] for a secret under 32 bytes; the message says how to make one.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        if secret.len() < Self::MIN_SECRET_LENGTH {
            return Err(Error::Config(format!(
                "the session secret has {} bytes and needs at least {}: {HOW_TO_MAKE_ONE}",
                secret.len(),
                Self::MIN_SECRET_LENGTH,
            )));
        }
        let derived = keyed(secret).chain_update(SIGNING_PURPOSE).finalize();
        Ok(Self(derived.into_bytes().into()))
    }

    /// A random key. Cookies signed with it are worth nothing after the process has ended.
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
/// To rotate a secret, first let all instances verify the new one, behind the old one; then put the new
/// one first, and keep the old one behind it for as long as a session may live. A cookie that an old key
/// verified is sent again under the first; an instance that does not know that yet would take it for forged.
///
/// ```
/// use session_store::{Key, KeyRing};
///
/// # let (old, new) = ("o".repeat(32), "n".repeat(32));
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
    #[cfg(feature = "express")]
    Express(express::Secret),
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(key) => key.fmt(f),
            #[cfg(feature = "express")]
            Self::Express(secret) => secret.fmt(f),
        }
    }
}

impl KeyRing {
    /// A ring of one key.
    pub fn new(primary: Key) -> Self {
        Self { primary: RingKey::Own(primary), previous: Vec::new() }
    }

    /// Adds a key that verifies, but does not sign any more.
    #[must_use]
    pub fn with_previous(mut self, key: Key) -> Self {
        self.previous.push(RingKey::Own(key));
        self
    }

    /// A ring for cookies as express-session makes and reads them: `secret` is the one that the
    /// Express service has, of whatever length.
    ///
    /// Such a signature does not cover the cookie's name, so services that share a secret must not
    /// let each other's sessions count for something else.
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

    /// Adds a secret of express-session that verifies, but does not sign any more. Behind a key of
    /// one's own, it lets visitors keep their sessions while their cookies leave Express' form.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an empty secret.
    #[cfg(feature = "express")]
    pub fn with_previous_express(mut self, secret: impl AsRef<str>) -> Result<Self, Error> {
        self.previous.push(RingKey::Express(express::Secret::new(secret.as_ref())?));
        Ok(self)
    }

    /// A ring of one random key, for a store that ends with the process anyway.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate() -> Self {
        Self::new(Key::generate())
    }

    /// Reads a comma-separated list of secrets, as in `SESSION_SECRET`: the first signs.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if one of them is shorter than 32 bytes, or there is none.
    pub fn parse(secrets: &str) -> Result<Self, Error> {
        let mut keys = secrets.split(',').map(|secret| Key::new(secret.trim()));
        let primary = keys.next().expect("split yields at least one part")?;
        keys.try_fold(Self::new(primary), |ring, key| Ok(ring.with_previous(key?)))
    }

    /// Reads a comma-separated list of secrets of express-session: the first signs.
    #[cfg(feature = "express")]
    pub(crate) fn parse_express(secrets: &str) -> Result<Self, Error> {
        let mut secrets = secrets.split(',').map(str::trim);
        let primary = Self::express(secrets.next().expect("split yields at least one part"))?;
        secrets.try_fold(primary, Self::with_previous_express)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn secrets_are_checked_with_advice() {
        for bad in ["", "short", "0123456789abcdef0123456789abcdef,short"] {
            let message = KeyRing::parse(bad).unwrap_err().to_string();
            assert!(message.contains("openssl rand"), "{message}");
            assert!(!message.contains("0123456789abcdef"), "{message}");
        }
        assert_eq!(KeyRing::parse(&format!("{SECRET}, {SECRET}")).unwrap().previous.len(), 1);
    }

    /// SECURITY 21.
    #[test]
    fn debug_does_not_leak_keys() {
        let ring = KeyRing::parse(SECRET).unwrap();
        assert_eq!(format!("{ring:?}"), "KeyRing { primary: Key(..), previous: [] }");
    }
}

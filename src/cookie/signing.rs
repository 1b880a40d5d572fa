//! Signatures of the session cookie, and the keys that make them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

#[cfg(feature = "express")]
use super::express;
use crate::error::Error;
use crate::id::{ID_LENGTH, SessionId};
use crate::random;

pub(super) type HmacSha256 = Hmac<Sha256>;

const SIGNING_PURPOSE: &[u8] = b"session-store cookie signing v1";
const COOKIE_DOMAIN: &[u8] = b"session-store cookie v1\0";
const SIGNATURE_LENGTH: usize = 43;
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
pub struct Key([u8; 32]);

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
/// To rotate a secret, put the new one first and keep the old one behind it for as long as a
/// session may live. A cookie that an old key verified is sent again under the first.
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
    primary: RingKey,
    previous: Vec<RingKey>,
}

#[derive(Clone)]
enum RingKey {
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

/// Signs and verifies the ids of one cookie.
#[derive(Clone)]
pub(crate) struct Signer {
    /// One for each key, the signing one first.
    signatures: Vec<Signature>,
    /// Whether sessions may have to be found as express-session stores them.
    #[cfg(feature = "express")]
    express_ids: bool,
}

#[derive(Clone)]
enum Signature {
    /// With the cookie's name taken in already.
    Own(HmacSha256),
    #[cfg(feature = "express")]
    Express(express::Secret),
}

/// An id whose signature is right.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) id: SessionId,
    /// Whether the key that signs today made the signature.
    pub(crate) current_key: bool,
}

impl Signer {
    /// Binds every signature to the cookie's name, so that one cookie's value is nothing under
    /// another's.
    pub(crate) fn new(ring: &KeyRing, cookie_name: &str) -> Self {
        // A cookie's name has no NUL: the parts cannot run into each other.
        let bound =
            |key: &Key| keyed(&key.0).chain_update(COOKIE_DOMAIN).chain_update(cookie_name).chain_update([0]);
        let signature = |key: &RingKey| match key {
            RingKey::Own(key) => Signature::Own(bound(key)),
            #[cfg(feature = "express")]
            RingKey::Express(secret) => Signature::Express(secret.clone()),
        };
        let signatures: Vec<_> =
            std::iter::once(&ring.primary).chain(&ring.previous).map(signature).collect();
        Self {
            #[cfg(feature = "express")]
            express_ids: signatures.iter().any(|it| matches!(it, Signature::Express(_))),
            signatures,
        }
    }

    /// The id of a new session.
    pub(crate) fn fresh_id(&self) -> SessionId {
        self.form(SessionId::generate())
    }

    /// The cookie's value.
    pub(crate) fn sign(&self, id: &SessionId) -> String {
        match &self.signatures[self.signing(id)] {
            Signature::Own(mac) => sign(mac, id),
            #[cfg(feature = "express")]
            Signature::Express(secret) => secret.sign(id),
        }
    }

    /// Reads a cookie's value; `None` for anything that no key of the ring signed.
    pub(crate) fn verify(&self, value: &str) -> Option<Verified> {
        let mut signatures = self.signatures.iter().enumerate();
        let (number, id) =
            signatures.find_map(|(number, signature)| Some((number, signature.verify(value)?)))?;
        let current_key = number == self.signing(&id);
        Some(Verified { id: self.form(id), current_key })
    }
}

#[cfg(feature = "express")]
impl Signer {
    /// Which signature the cookie of this id gets: the first one, unless a `genid` of Express made an
    /// id that has no place in a cookie of this crate's own form.
    fn signing(&self, id: &SessionId) -> usize {
        let fits = |signature: &Signature| matches!(signature, Signature::Express(_)) || id.is_native();
        self.signatures.iter().position(fits).unwrap_or(0)
    }

    fn form(&self, id: SessionId) -> SessionId {
        if self.express_ids { id.into_express() } else { id }
    }
}

#[cfg(not(feature = "express"))]
#[expect(clippy::unused_self, reason = "with the feature it is used")]
impl Signer {
    fn signing(&self, _: &SessionId) -> usize {
        0
    }

    fn form(&self, id: SessionId) -> SessionId {
        id
    }
}

impl Signature {
    fn verify(&self, value: &str) -> Option<SessionId> {
        match self {
            Self::Own(mac) => verify(mac, value),
            #[cfg(feature = "express")]
            Self::Express(secret) => secret.verify(value),
        }
    }
}

/// `<id>.<signature>`.
fn sign(mac: &HmacSha256, id: &SessionId) -> String {
    let signature = mac.clone().chain_update(id.as_str()).finalize().into_bytes();
    let mut value = String::with_capacity(ID_LENGTH + 1 + SIGNATURE_LENGTH);
    value.push_str(id.as_str());
    value.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut value);
    value
}

fn verify(mac: &HmacSha256, value: &str) -> Option<SessionId> {
    let (id, signature) = value.split_once('.')?;
    let id = SessionId::parse(id)?;
    let mut tag = [0; 32];
    let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut tag).ok()?;
    // `verify_slice` compares in constant time.
    mac.clone().chain_update(id.as_str()).verify_slice(&tag[..length]).ok()?;
    Some(id)
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.signatures.len())
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key(secret: &str) -> Key {
        Key::new(secret.repeat(32)).unwrap()
    }

    fn signer() -> Signer {
        Signer::new(&KeyRing::parse(SECRET).unwrap(), "__Host-id")
    }

    #[test]
    fn the_cookie_value_is_frozen() {
        let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(
            signer().sign(&id),
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.X8QKJAyvccrZPb9jdfw8aFWFEK1RSrU4QQuUM_QbaKc"
        );
    }

    #[test]
    fn what_is_signed_verifies() {
        let id = SessionId::generate();
        let verified = signer().verify(&signer().sign(&id)).unwrap();
        assert_eq!(verified.id, id);
        assert!(verified.current_key);
    }

    /// SECURITY 24: the MAC binds the cookie's name.
    #[test]
    fn another_cookies_signature_does_not_verify() {
        let ring = KeyRing::parse(SECRET).unwrap();
        let value = Signer::new(&ring, "__Host-id").sign(&SessionId::generate());
        assert!(Signer::new(&ring, "__Host-id").verify(&value).is_some());
        assert!(Signer::new(&ring, "__Host-i").verify(&value).is_none());
        assert!(Signer::new(&ring, "admin").verify(&value).is_none());
    }

    /// SECURITY 24: keys can be rotated and retired.
    #[test]
    fn old_keys_verify_until_they_retire() {
        let old = Signer::new(&KeyRing::new(key("o")), "id");
        let value = old.sign(&SessionId::generate());
        let both = Signer::new(&KeyRing::new(key("n")).with_previous(key("o")), "id");
        let verified = both.verify(&value).unwrap();
        assert!(!verified.current_key);
        assert!(both.verify(&both.sign(&verified.id)).unwrap().current_key);
        assert!(Signer::new(&KeyRing::new(key("n")), "id").verify(&value).is_none());
    }

    #[test]
    fn every_changed_byte_breaks_the_signature() {
        let value = signer().sign(&SessionId::generate());
        for position in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(signer().verify(&changed).is_none(), "position {position}");
        }
        assert!(signer().verify(&value[..value.len() - 1]).is_none());
        assert!(signer().verify(&format!("{value}A")).is_none());
        assert!(signer().verify(&format!("{value}=")).is_none());
    }

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
        assert_eq!(format!("{:?}", signer()), "Signer(1 keys)");
    }

    proptest! {
        /// SECURITY 27.
        #[test]
        fn hostile_values_never_verify_and_never_panic(value in ".*") {
            prop_assert!(signer().verify(&value).is_none());
        }
    }
}

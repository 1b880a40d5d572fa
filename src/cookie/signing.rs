//! Signatures of the session cookie.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::express;
use super::keys::{Key, KeyRing, RingKey};
use crate::id::{ID_LENGTH, SessionId};

pub(super) type HmacSha256 = Hmac<Sha256>;

const COOKIE_DOMAIN: &[u8] = b"session-store cookie v1\0";
const SIGNATURE_LENGTH: usize = 43;
/// Of SHA-256 (FIPS 180-4 section 1).
const HASH_BLOCK: usize = 64;

/// Signs and verifies the ids of one cookie.
#[derive(Clone)]
pub(crate) struct Signer {
    /// One for each key, the signing one first.
    signatures: Vec<Signature>,
    /// Whether sessions may have to be found as express-session stores them.
    express_ids: bool,
}

#[derive(Clone)]
enum Signature {
    /// With the cookie's name taken in already.
    Own(HmacSha256),
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
        // A cookie's name has no NUL: the parts cannot run into each other. Padded to whole blocks, they
        // are hashed here, and not again with each id.
        let mut binding = [COOKIE_DOMAIN, cookie_name.as_bytes(), &[0]].concat();
        binding.resize(binding.len().next_multiple_of(HASH_BLOCK), 0);
        let bound = |key: &Key| keyed(&key.0).chain_update(&binding);
        let signature = |key: &RingKey| match key {
            RingKey::Own(key) => Signature::Own(bound(key)),
            RingKey::Express(secret) => Signature::Express(secret.clone()),
        };
        let signatures: Vec<_> =
            std::iter::once(&ring.primary).chain(&ring.previous).map(signature).collect();
        Self { express_ids: signatures.iter().any(|it| matches!(it, Signature::Express(_))), signatures }
    }

    /// The id of a new session.
    pub(crate) fn fresh_id(&self) -> SessionId {
        self.form(SessionId::generate())
    }

    /// The cookie's value.
    pub(crate) fn sign(&self, id: &SessionId) -> String {
        match &self.signatures[self.signing(id)] {
            Signature::Own(mac) => sign(mac, id),
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

    /// Whether one of the keys is a secret of Express.
    #[cfg(feature = "express")]
    pub(crate) fn knows_express(&self) -> bool {
        self.express_ids
    }

    /// Which signature the cookie of this id gets: the first one, unless a `genid` of Express made an
    /// id that has no place in a cookie of this crate's own form.
    fn signing(&self, id: &SessionId) -> usize {
        let fits = |signature: &Signature| matches!(signature, Signature::Express(_)) || id.is_native();
        self.signatures.iter().position(fits).unwrap_or(0)
    }

    fn form(&self, id: SessionId) -> SessionId {
        if self.express_ids { id.into_foreign() } else { id }
    }
}

impl Signature {
    fn verify(&self, value: &str) -> Option<SessionId> {
        match self {
            Self::Own(mac) => verify(mac, value),
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

pub(super) fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key(secret: &str) -> Key {
        Key::derive(secret.repeat(32).as_bytes())
    }

    fn signer() -> Signer {
        Signer::new(&KeyRing::new(Key::derive(SECRET.as_bytes())), "__Host-id")
    }

    #[test]
    fn the_cookie_value_is_frozen() {
        let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(
            signer().sign(&id),
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.k_AdiiCVPDiGrMTBw3BX3KcX_DQyYRzr-rvV62k2l30"
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
        let ring = KeyRing::new(Key::derive(SECRET.as_bytes()));
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

    /// SECURITY 21.
    #[test]
    fn debug_does_not_leak_keys() {
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

//! Signatures of what is no id, by the same keys.

use std::fmt;

use hmac::Mac as _;

use super::keys::{KeyRing, RingKey};
use super::signing::{HmacSha256, keyed};

/// As many bytes of a signature as are sent.
pub(crate) const TAG_LENGTH: usize = 16;

/// A ring of keys for one purpose: the first signs, all verify.
#[derive(Clone)]
pub(crate) struct MacRing(Vec<HmacSha256>);

impl MacRing {
    /// `purpose` tells these signatures from all others.
    pub(crate) fn new(ring: &KeyRing, purpose: &[&[u8]]) -> Self {
        let bound = |key: &RingKey| {
            let mac = match key {
                RingKey::Own(key) => keyed(&key.0),
                RingKey::Express(secret) => secret.mac(),
            };
            feed(mac, purpose)
        };
        Self(std::iter::once(&ring.primary).chain(&ring.previous).map(bound).collect())
    }

    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; TAG_LENGTH] {
        let tag = feed(self.0[0].clone(), parts).finalize().into_bytes();
        *tag.first_chunk().expect("it has 32 bytes")
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8; TAG_LENGTH]) -> bool {
        self.0.iter().any(|mac| feed(mac.clone(), parts).verify_truncated_left(tag).is_ok())
    }
}

/// With their lengths, so that the parts cannot run into each other.
fn feed(mac: HmacSha256, parts: &[&[u8]]) -> HmacSha256 {
    parts.iter().fold(mac, |mac, part| mac.chain_update((part.len() as u64).to_be_bytes()).chain_update(part))
}

impl fmt::Debug for MacRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacRing({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookie::keys::Key;

    fn key(secret: &str) -> Key {
        Key::new(secret.repeat(2)).unwrap()
    }

    const OLD: &str = "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
    const NEW: &str = "Zk3w7Xb1Yc9Qd4Ef6Gh8Jk2Lm5Np0Rs7Tu4Vw1Xy";

    #[test]
    fn parts_and_purposes_are_told_apart() {
        let ring = KeyRing::new(key(OLD));
        let macs = MacRing::new(&ring, &[b"a", b"id"]);
        let tag = macs.sign(&[b"ab", b"c"]);
        assert!(macs.verify(&[b"ab", b"c"], &tag));
        assert!(!macs.verify(&[b"a", b"bc"], &tag));
        assert!(!macs.verify(&[b"abc"], &tag));
        for purpose in [&[&b"b"[..], b"id"][..], &[b"a", b"i"], &[b"aid"]] {
            assert!(!MacRing::new(&ring, purpose).verify(&[b"ab", b"c"], &tag));
        }
    }

    #[test]
    fn old_keys_verify_until_they_retire() {
        let tag = MacRing::new(&KeyRing::new(key(OLD)), &[]).sign(&[b"x"]);
        let both = KeyRing::new(key(NEW)).with_previous(key(OLD));
        assert!(MacRing::new(&both, &[]).verify(&[b"x"], &tag));
        assert!(!MacRing::new(&KeyRing::new(key(NEW)), &[]).verify(&[b"x"], &tag));
    }
}

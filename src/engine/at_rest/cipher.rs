//! What seals: XChaCha20-Poly1305 ([draft-irtf-cfrg-xchacha]), a key for each purpose.
//!
//! Sealed bytes are a hint of the key (1 byte), the nonce (24), the ciphertext, and the tag (16). The hint saves trying
//! each key of a ring; it is authenticated by the key that it leads to.
//!
//! `ring` has ChaCha20-Poly1305 without the X, which takes shorter nonces. So the rest is done here, as the draft's section
//! 2.3 defines it: `hchacha` makes a key of ours and the first 16 bytes of the nonce, and the other 8 are the nonce for that
//! key. The crate `chacha20poly1305` does all of it, and took 2.6 times as long for 308 bytes: it chooses its AVX2 code
//! at run time, which keeps the compiler from inlining it.
//!
//! [draft-irtf-cfrg-xchacha]: https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha-03

use std::fmt;

use chacha20::{R20, hchacha};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;

use crate::id::SessionId;
use crate::random;

const HINT: usize = 1;
const NONCE: usize = 24;
const TAG: usize = 16;
/// So many bytes more than the data take.
pub(super) const OVERHEAD: usize = HINT + NONCE + TAG;

/// What one secret seals with.
pub(super) struct SealKey {
    pub(super) data: Cipher,
    pub(super) label: Cipher,
    by_id: Hmac<Sha256>,
    hint_by_id: u8,
}

/// A cipher, and the byte that names it.
pub(super) struct Cipher {
    hint: u8,
    key: chacha20::Key,
}

impl SealKey {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let derived = |purpose: &str| keyed(secret).chain_update(purpose).finalize().into_bytes();
        let cipher = |purpose: &str| {
            let hint = derived(&format!("hint of {purpose}"))[0];
            Cipher { hint, key: derived(purpose) }
        };
        Self {
            data: cipher("data"),
            label: cipher("label"),
            by_id: keyed(&derived("data by id")),
            hint_by_id: derived("hint of data by id")[0],
        }
    }

    /// The cipher for the data of one id.
    pub(super) fn for_id(&self, id: &SessionId) -> Cipher {
        let key = self.by_id.clone().chain_update(id.as_str()).finalize().into_bytes();
        Cipher { hint: self.hint_by_id, key }
    }

    /// Whether these bytes may be sealed so that their id is needed.
    pub(super) fn needs_id(&self, sealed: &[u8]) -> bool {
        sealed.first() == Some(&self.hint_by_id)
    }
}

impl Cipher {
    /// Whether these bytes may be this cipher's.
    pub(super) fn is_hinted(&self, sealed: &[u8]) -> bool {
        sealed.first() == Some(&self.hint)
    }

    /// Seals bytes, which will open only together with what they `belong_to`.
    pub(super) fn seal(&self, plain: &[u8], belong_to: &[u8]) -> Vec<u8> {
        self.seal_with(&random::bytes(), plain, belong_to)
    }

    fn seal_with(&self, nonce: &[u8; NONCE], plain: &[u8], belong_to: &[u8]) -> Vec<u8> {
        let (key, short) = self.of_nonce(nonce);
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.push(self.hint);
        sealed.extend(nonce);
        sealed.extend(plain);
        let body = &mut sealed[HINT + NONCE..];
        let tag = key
            .seal_in_place_separate_tag(short, Aad::from(belong_to), body)
            .expect("what is sealed is shorter than 256 GiB");
        sealed.extend(tag.as_ref());
        sealed
    }

    /// Opens what was sealed; `None` for whatever is not this cipher's, or belongs to something else.
    pub(super) fn open(&self, sealed: &[u8], belongs_to: &[u8]) -> Option<Vec<u8>> {
        let (_, rest) = sealed.split_at_checked(HINT)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (body, tag) = rest.split_last_chunk::<TAG>()?;
        let (key, nonce) = self.of_nonce(nonce);
        let mut plain = body.to_vec();
        key.open_in_place_separate_tag(nonce, Aad::from(belongs_to), (*tag).into(), &mut plain, 0..).ok()?;
        Some(plain)
    }

    /// The key and the nonce of ChaCha20-Poly1305 that a longer nonce stands for.
    fn of_nonce(&self, nonce: &[u8; NONCE]) -> (LessSafeKey, Nonce) {
        let (for_key, rest) = nonce.split_first_chunk::<16>().expect("a nonce is longer");
        let key = hchacha::<R20>(&self.key, for_key.into());
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the cipher's keys have 32 bytes");
        let mut short = [0; NONCE_LEN];
        short[NONCE_LEN - rest.len()..].copy_from_slice(rest);
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(short))
    }
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealKey {
        SealKey::new(&[7; 32])
    }

    /// The draft's appendix A.3.1.
    #[test]
    fn it_is_the_drafts_cipher() {
        let counted_from = |first: u8| (first..).take(32).collect::<Vec<_>>();
        let cipher = Cipher { hint: 0, key: counted_from(0x80)[..].try_into().unwrap() };
        let nonce = counted_from(0x40)[..NONCE].try_into().unwrap();
        let belongs_to = b"\x50\x51\x52\x53\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7";
        let plain =
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
            sunscreen would be it.";

        let sealed = cipher.seal_with(&nonce, plain, belongs_to);
        assert_eq!(
            sealed.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "00404142434445464748494a4b4c4d4e4f5051525354555657\
             bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
             ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
             21f9664c97637da9768812f615c68b13b52e\
             c0875924c1c7987947deafd8780acf49"
        );
        assert_eq!(cipher.open(&sealed, belongs_to).as_deref(), Some(&plain[..]));
    }

    /// Frozen: what was sealed by this version opens with each later one.
    #[test]
    fn the_sealed_form_is_frozen() {
        let id = SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        let key = key();
        for (cipher, sealed) in [
            (
                &key.data,
                "2fcf09d2b04165b22a4d6e96cc1dac3d3b9ccd32d48b6fa9fb45bedebbac74f7259f3a16b84de33d086527",
            ),
            (
                &key.label,
                "408de93a13bc3bde0fc3fe189d30242d7a41d27edca0c9d48b07d8068caed5a1cedaac214f792d63962a25",
            ),
            (
                &key.for_id(&id),
                "565c1c8f118a4337516929acd4d8a7a6f741ddb4b1f2241e0ba1371707fb0bf7724a9cb8a847219821b7e6",
            ),
        ] {
            let byte = |at: usize| u8::from_str_radix(&sealed[at..at + 2], 16).unwrap();
            let sealed: Vec<u8> = (0..sealed.len()).step_by(2).map(byte).collect();
            assert_eq!(cipher.open(&sealed, b"here").as_deref(), Some(&b"{}"[..]));
            assert!(cipher.is_hinted(&sealed));
        }
    }

    #[test]
    fn it_opens_where_it_belongs_and_nowhere_else() {
        let (key, id) = (key(), SessionId::generate());
        let ciphers = [&key.data, &key.label, &key.for_id(&id), &key.for_id(&SessionId::generate())];
        for (number, cipher) in ciphers.iter().enumerate() {
            for plain in [&b""[..], b"x", &[b'y'; 5000]] {
                let sealed = cipher.seal(plain, b"here");
                assert_eq!(sealed.len(), plain.len() + OVERHEAD);
                assert!(cipher.is_hinted(&sealed));
                assert_eq!(cipher.open(&sealed, b"here").as_deref(), Some(plain));
                assert_eq!(cipher.open(&sealed, b"there"), None);
                for (other, cipher) in ciphers.iter().enumerate() {
                    assert_eq!(cipher.open(&sealed, b"here").is_some(), number == other);
                }
                assert_eq!(SealKey::new(&[8; 32]).data.open(&sealed, b"here"), None);
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_wherever_it_is() {
        let sealed = key().data.seal(br#"{"cart":["tea"]}"#, b"here");
        // The hint is no part of it: a wrong one leads to no key.
        for bit in 8..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key().data.open(&flipped, b"here"), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(key().data.open(&sealed[..length], b"here"), None, "{length} bytes");
        }
    }

    #[test]
    fn debug_does_not_leak_keys() {
        assert_eq!(format!("{:?}", key()), "SealKey(..)");
    }
}

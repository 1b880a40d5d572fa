//! What stands for an owner where the name is nobody's business.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Owner;

const OWNER_DOMAIN: &[u8] = b"session-store owner v1:";
/// As many bits of the hash as a session's key has.
const HASH_BYTES: usize = 21;

/// A hash of an owner's name: all that a store's index and histories, and so the names of keys in Redis, tell of whose they
/// are.
///
/// It is no secret: whoever has a list of all owners can tell whose it is.
///
/// ```
/// use session_store::{Owner, OwnerHash};
///
/// let ada = OwnerHash::of(&Owner::new("ada")?);
/// assert_eq!(OwnerHash::parse(&ada.to_string()), Some(ada));
/// assert_eq!(ada.to_string().len(), 28);
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerHash([u8; HASH_BYTES]);

impl OwnerHash {
    /// The hash of this owner's name. See the [example](Self).
    pub fn of(owner: &Owner) -> Self {
        let hash = Sha256::new().chain_update(OWNER_DOMAIN).chain_update(owner.as_str()).finalize();
        Self(*hash.first_chunk().expect("a SHA-256 is longer"))
    }

    /// Reads what `Display` writes. See the [example](Self).
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

#[cfg(feature = "memory")]
impl OwnerHash {
    /// About which share of all owners comes before it, from 0 to 1.
    pub(crate) fn share(self) -> f64 {
        let [first, second, third, fourth, ..] = self.0;
        f64::from(u32::from_be_bytes([first, second, third, fourth])) / f64::from(u32::MAX)
    }
}

#[cfg(feature = "json")]
impl OwnerHash {
    /// 128 bits of it: enough to tell any two owners apart.
    pub(crate) fn fingerprint(self) -> u128 {
        u128::from_be_bytes(*self.0.first_chunk().expect("a hash is longer"))
    }
}

/// As 28 characters of base64url.
impl fmt::Display for OwnerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for OwnerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnerHash({self})")
    }
}

//! What stands for an owner where the name must not appear.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Owner;

const OWNER_DOMAIN: &[u8] = b"session-store owner v1:";
/// As many bits of the hash as a session's key has.
const HASH_BYTES: usize = 21;

/// A hash of an owner's name. Indexes, histories, and the names of their keys in Redis know owners by it alone.
///
/// It is not secret: whoever has a list of all owners can tell whose it is.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: another hash would find no index and no history that is stored.
    #[test]
    fn the_hash_of_a_name_is_frozen() {
        let ada = OwnerHash::of(&Owner::new("ada").unwrap());
        assert_eq!(ada.to_string(), "QV5hvT3qVn2xIhCbimrFFhPzzot0");
        assert_eq!(OwnerHash::parse("QV5hvT3qVn2xIhCbimrFFhPzzot0"), Some(ada));
    }

    #[test]
    fn what_is_no_hash_is_not_read() {
        let almost = "QV5hvT3qVn2xIhCbimrFFhPzzot";
        for last in ["", "0A", "0AAAA", "+", "=", " ", "\u{e9}"] {
            assert_eq!(OwnerHash::parse(&format!("{almost}{last}")), None, "{last:?}");
        }
        assert_eq!(OwnerHash::parse(""), None);
    }
}

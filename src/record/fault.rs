//! Why stored bytes are not a session.

use crate::error::Error;
use crate::id::SessionKey;

pub(super) enum Fault {
    /// A later version wrote them.
    Newer,
    /// No version did.
    Broken(&'static str),
}

impl Fault {
    pub(super) fn at(self, key: &SessionKey, format: u8) -> Error {
        match self {
            Self::Newer => Error::NewerFormat { key: key.clone(), format },
            Self::Broken(reason) => Error::Corrupt { key: key.clone(), reason },
        }
    }
}

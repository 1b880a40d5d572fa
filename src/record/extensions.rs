//! Entries that a later version of this crate adds to a record, and this one keeps.

use std::fmt;
use std::sync::Arc;

use bytes::Buf as _;

use super::envelope::RECORD_FORMAT;
use super::fault::Fault;
use crate::error::Error;
use crate::id::SessionKey;

/// The bit of a tag that says: who does not know this entry must not use the session.
const CRITICAL: u8 = 0x80;

/// Entries that later versions of this crate store beside a session's data.
///
/// In a rolling deploy, instances of two versions share their sessions. The older one keeps entries that
/// it doesn't know through every write except a sign-in, which starts a new session. It refuses a session
/// with an entry marked as critical, as [`Error::NewerFormat`]. The tag 0x7F is for tests, and no version gives
/// it a meaning.
///
/// A store that keeps [a record's bytes](crate::Record::to_bytes) keeps these too. A store with a column for each
/// field needs a column for them.
///
/// ```
/// use session_store::{Extensions, SessionId};
///
/// let key = SessionId::generate().key();
/// // A tag, the length of what follows in two bytes, and that.
/// let entry = [0x7F, 0, 2, b'h', b'i'];
/// assert_eq!(Extensions::from_bytes(&key, &entry)?.as_bytes(), entry);
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extensions(Option<Arc<[u8]>>);

impl Extensions {
    /// The maximum length of a record's entries in bytes.
    pub const MAX_LENGTH: usize = 1024;

    /// Reads the entries of the record under `key`: each has a tag of 1 byte, a length of 2 bytes, big-endian,
    /// and a value. See the [example](Self).
    ///
    /// # Errors
    ///
    /// [`Error::NewerFormat`] for an unknown entry whose tag has the high bit set, [`Error::Corrupt`] for bytes
    /// that are not a list of entries, and for more than [`MAX_LENGTH`](Self::MAX_LENGTH).
    pub fn from_bytes(key: &SessionKey, bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes).map_err(|fault| fault.at(key, RECORD_FORMAT))
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() > Self::MAX_LENGTH {
            return Err(Fault::Broken("its extensions are too long"));
        }
        for entry in entries(bytes) {
            let (tag, _) = entry.ok_or(Fault::Broken("an extension is cut short"))?;
            // This version knows none that has this bit.
            if tag & CRITICAL != 0 {
                return Err(Fault::Newer);
            }
        }
        Ok(Self((!bytes.is_empty()).then(|| bytes.into())))
    }

    /// The entries in the form that [`from_bytes`](Self::from_bytes) reads. See the [example](Self).
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// The value of the first entry with this tag.
    #[cfg(feature = "json")]
    pub(crate) fn get(&self, tag: u8) -> Option<&[u8]> {
        entries(self.as_bytes()).flatten().find(|(its, _)| *its == tag).map(|(_, value)| value)
    }

    /// These entries, with this one in the place of whatever has its tag.
    #[cfg(feature = "json")]
    pub(crate) fn with(&self, tag: u8, value: &[u8]) -> Self {
        let others = entries(self.as_bytes()).flatten().filter(|(its, _)| *its != tag);
        let mut bytes = Vec::with_capacity(self.as_bytes().len() + 3 + value.len());
        for (tag, value) in others.chain([(tag, value)]) {
            bytes.push(tag);
            bytes.extend(u16::try_from(value.len()).expect("entries are short").to_be_bytes());
            bytes.extend(value);
        }
        Self(Some(bytes.into()))
    }

    /// These entries but for those with this tag.
    #[cfg(feature = "seal")]
    pub(crate) fn without(&self, tag: u8) -> Self {
        let bytes: Vec<u8> = entries(self.as_bytes())
            .flatten()
            .filter(|(its, _)| *its != tag)
            .flat_map(|(tag, value)| {
                let length = u16::try_from(value.len()).expect("entries are short").to_be_bytes();
                [&[tag], &length[..], value].concat()
            })
            .collect();
        Self((!bytes.is_empty()).then(|| bytes.into()))
    }

    /// Refuses what nobody could read again: a later version may have filled the room.
    #[cfg(feature = "json")]
    pub(crate) fn check_size(&self) -> Result<(), Error> {
        let (size, limit) = (self.as_bytes().len(), Self::MAX_LENGTH);
        if size > limit {
            return Err(Error::TooLarge { what: "what is kept beside the session's data", size, limit });
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Each entry's tag and value; `None` for one that is cut short, which is the last.
fn entries(mut bytes: &[u8]) -> impl Iterator<Item = Option<(u8, &[u8])>> {
    std::iter::from_fn(move || {
        let tag = bytes.try_get_u8().ok()?;
        let length = bytes.try_get_u16().ok().map(usize::from);
        let Some((value, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else {
            bytes = &[];
            return Some(None);
        };
        bytes = rest;
        Some(Some((tag, value)))
    })
}

impl fmt::Debug for Extensions {
    // A later version may keep secrets here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({} bytes)", self.as_bytes().len())
    }
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_the_place_of_its_own_tag_and_leaves_the_others() {
        let unknown = Extensions(Some([0x7F, 0, 2, b'h', b'i'].as_slice().into()));
        let written = unknown.with(1, b"a").with(2, b"b").with(1, b"cc");
        assert_eq!(
            (written.get(0x7F), written.get(1), written.get(2)),
            (Some(&b"hi"[..]), Some(&b"cc"[..]), Some(&b"b"[..]))
        );
        assert_eq!(written.get(3), None);
        assert_eq!(written.as_bytes().len(), 5 + 5 + 4);
    }

    #[test]
    fn what_nobody_could_read_again_is_refused() {
        let room = Extensions::MAX_LENGTH - 3;
        let full = Extensions::default().with(1, &vec![0; room]);
        assert!(full.check_size().is_ok() && Extensions::parse(full.as_bytes()).is_ok());
        let over = Extensions::default().with(1, &vec![0; room + 1]);
        assert!(
            matches!(over.check_size(), Err(Error::TooLarge { .. }))
                && Extensions::parse(over.as_bytes()).is_err()
        );
    }
}

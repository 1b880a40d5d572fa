//! The bytes that hold a record, or the marker of a rotation.
//!
//! The envelope has fixed-width fields at fixed offsets, all big-endian, so that a Redis script
//! can compare revisions and move `expires_at` without decoding the rest:
//!
//! ```text
//!  0  format      0xA1: a session           0xB1: a marker, the session moved to another id
//!  1  flags       1: expiry of its own,     0
//!                 2: idle timeout alone,
//!                 4: it has a label,
//!                 8: it has extensions,
//!                 16: its cookie ends
//!                     with the browser
//!  2  revision    8 bytes                   8 bytes
//! 10  previous    8 bytes, 0 for none       8 bytes
//! 18  expires_at  milliseconds              the successor's storage name
//! 26  created_at  milliseconds
//! 34  idle timeout, milliseconds, 0 for none
//! 42  deadline    milliseconds, 0 for none
//! 50  length of the owner, 2 bytes; the owner;
//!     with a label, its length, 1 byte (0 for 256), and itself;
//!     with extensions, their length, 2 bytes, and themselves; codec, 1 byte; data
//! ```
//!
//! A field that a later version adds is an extension: a flag or a format that an older instance does not know
//! makes the session unreadable to it.
//!
//! No format byte starts a UTF-8 text, so foreign values are told apart by their first byte.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};

use super::fault::Fault;
use super::{Extensions, Label, Owner, Payload, Record, Revision};
use crate::clock::{Timestamp, millis_rounded_up};
use crate::error::Error;
#[cfg(feature = "redis")]
use crate::id::NAME_LENGTH;
use crate::id::SessionKey;
use crate::ttl::Ttl;

pub(crate) const RECORD_FORMAT: u8 = 0xA1;
pub(crate) const MOVED_FORMAT: u8 = 0xB1;
/// Where an owner begins: the fixed part's length.
const FIXED_LENGTH: usize = 52;
/// The shortest record: without owner and data, but for the codec's tag.
#[cfg(feature = "redis")]
pub(crate) const SHORTEST_RECORD: usize = FIXED_LENGTH + 1;
/// Where a record, and a marker, have the revision that they replaced.
#[cfg(feature = "redis")]
pub(crate) const PREVIOUS_REVISION: std::ops::Range<usize> = 10..18;
/// So many bytes at most come before the data.
#[cfg(feature = "redis")]
pub(crate) const LONGEST_HEAD: usize =
    FIXED_LENGTH + Owner::MAX_LENGTH + 1 + Label::MAX_LENGTH + 2 + Extensions::MAX_LENGTH + 1;
/// How long a marker is.
#[cfg(feature = "redis")]
pub(crate) const MARKER_LENGTH: usize = 18 + NAME_LENGTH;
const OWN_EXPIRY: u8 = 1;
const OWN_IDLE_TIMEOUT: u8 = 2;
const LABELLED: u8 = 4;
const EXTENDED: u8 = 8;
const ENDS_WITH_BROWSER: u8 = 16;
pub(crate) const KNOWN_FLAGS: u8 = OWN_EXPIRY | OWN_IDLE_TIMEOUT | LABELLED | EXTENDED | ENDS_WITH_BROWSER;
const CUT_SHORT: &str = "it is cut short";

impl Record {
    /// The record's envelope: 53 bytes, the owner, the label (and a byte for its length), the extensions (and two bytes
    /// for their length) and the data. For a custom store that keeps bytes; [`Envelope::from_bytes`] reads it.
    ///
    /// ```
    /// use session_store::{Envelope, Payload, Record, SessionId, Timestamp};
    ///
    /// let key = SessionId::generate().key();
    /// let record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2), Payload::new(1, "{}"));
    /// let bytes = record.to_bytes();
    /// assert_eq!(bytes.len(), 53 + 2);
    /// assert_eq!(Envelope::from_bytes(&key, bytes.into())?, Envelope::Record(record));
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        let owner = self.owner.as_ref().map_or("", Owner::as_str);
        let owner_length = u16::try_from(owner.len()).expect("bounded by Owner::MAX_LENGTH");
        let label = self.label.as_ref().map_or("", Label::as_str);
        // The longest label's length, 256, is written as 0.
        let [.., label_length] = label.len().to_be_bytes();
        let extensions = self.extensions.as_bytes();
        let head = FIXED_LENGTH + owner.len() + 1 + label.len() + 2 + extensions.len() + 1;
        let mut out = Vec::with_capacity(head + self.data.bytes().len());
        out.push(RECORD_FORMAT);
        out.push(self.flags());
        out.extend(self.revision.0);
        out.extend(self.previous_revision.map_or([0; 8], Revision::to_bytes));
        out.extend(self.expires_at.as_millis().to_be_bytes());
        out.extend(self.created_at.as_millis().to_be_bytes());
        out.extend(self.idle_timeout.map_or(0, millis_rounded_up).to_be_bytes());
        out.extend(self.absolute_deadline.map_or(0, Timestamp::as_millis).to_be_bytes());
        out.extend(owner_length.to_be_bytes());
        out.extend(owner.as_bytes());
        if self.label.is_some() {
            out.push(label_length);
            out.extend(label.as_bytes());
        }
        if !extensions.is_empty() {
            let length = u16::try_from(extensions.len()).expect("bounded by Extensions::MAX_LENGTH");
            out.extend(length.to_be_bytes());
            out.extend(extensions);
        }
        out.push(self.data.codec());
        out.extend(self.data.bytes());
        out
    }

    fn flags(&self) -> u8 {
        let of = |set: bool, flag: u8| if set { flag } else { 0 };
        of(self.own_expiry, OWN_EXPIRY)
            | of(self.own_idle_timeout, OWN_IDLE_TIMEOUT)
            | of(self.label.is_some(), LABELLED)
            | of(!self.extensions.is_empty(), EXTENDED)
            | of(self.ends_with_browser, ENDS_WITH_BROWSER)
    }

    fn from_body(mut body: Reader) -> Result<Self, Fault> {
        let flags = body.byte()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(Fault::Newer);
        }
        let revision = Revision::from_bytes(body.array()?).ok_or(Fault::Broken("no revision"))?;
        let previous_revision = Revision::from_bytes(body.array()?);
        let expires_at = Timestamp::from_millis(body.u64()?);
        let created_at = Timestamp::from_millis(body.u64()?);
        let idle = body.u64()?;
        let deadline = body.u64()?;
        let owner_length = usize::from(u16::from_be_bytes(body.array()?));
        if owner_length > Owner::MAX_LENGTH {
            return Err(Fault::Broken("its owner is too long"));
        }
        let owner = (owner_length > 0).then(|| body.text(owner_length)).transpose()?.map(Owner);
        let mut label = None;
        if flags & LABELLED != 0 {
            let length = match body.byte()? {
                0 => Label::MAX_LENGTH,
                length => usize::from(length),
            };
            label = Some(Label(body.text(length)?));
        }
        let mut extensions = Extensions::default();
        if flags & EXTENDED != 0 {
            let length = usize::from(u16::from_be_bytes(body.array()?));
            if length == 0 {
                return Err(Fault::Broken("its extensions are empty"));
            }
            extensions = Extensions::parse(body.peek(length)?)?;
            body.0.advance(length);
        }
        Ok(Self {
            created_at,
            expires_at,
            idle_timeout: (idle != 0).then(|| Duration::from_millis(idle)),
            absolute_deadline: (deadline != 0).then(|| Timestamp::from_millis(deadline)),
            own_expiry: flags & OWN_EXPIRY != 0,
            own_idle_timeout: flags & OWN_IDLE_TIMEOUT != 0,
            ends_with_browser: flags & ENDS_WITH_BROWSER != 0,
            owner,
            label,
            extensions,
            revision,
            previous_revision,
            data: Payload::new(body.byte()?, body.0),
            express_cookie: None,
            written: None,
            #[cfg(feature = "json")]
            at_rest: None,
        })
    }
}

/// The marker that a rotation leaves under the old key, for up to a minute: it names the session's new key.
///
/// Deletions follow it, and so do updates that [ask for it](crate::Update::follow). Following it on a load
/// would give the new session to anybody who knows the old id (session fixation).
///
/// ```
/// use session_store::{Envelope, Moved, Payload, Record, SessionId, Timestamp, Ttl};
/// use std::time::Duration;
///
/// let (id, hour) = (SessionId::generate(), Ttl::new(Duration::from_secs(3600)));
/// let old = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2), Payload::new(1, "{}"));
///
/// // What a store that keeps bytes writes under the old key, as it writes `new` under the new one.
/// let new = old.next();
/// let marker = Moved::new(id.rotated().key(), &new, old.revision);
/// assert_eq!(Moved::ttl(hour).as_duration(), Moved::MAX_LIFE);
/// assert_eq!(Envelope::from_bytes(&id.key(), marker.to_bytes().into())?, Envelope::Moved(marker));
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// The session's new key.
    pub successor: SessionKey,
    /// The revision that the rotation wrote.
    pub revision: Revision,
    /// The revision that it replaced.
    pub previous_revision: Revision,
}

impl Moved {
    /// The longest life of a marker: a minute.
    pub const MAX_LIFE: Duration = Duration::from_secs(60);

    /// Makes the marker of a rotation from the version `replaced` to `record` at `successor`. See the [example](Self).
    pub fn new(successor: SessionKey, record: &Record, replaced: Revision) -> Self {
        Self { successor, revision: record.revision, previous_revision: replaced }
    }

    /// The time to live of the marker of a session with this time to live. See the [example](Self).
    pub fn ttl(record: Ttl) -> Ttl {
        record.min(Ttl::new(Self::MAX_LIFE))
    }

    fn bears(&self, revision: Revision) -> bool {
        self.revision == revision || self.previous_revision == revision
    }

    /// The marker's envelope, 53 bytes. See the [example](Self).
    pub fn to_bytes(&self) -> Vec<u8> {
        let name = self.successor.storage_name();
        [&[MOVED_FORMAT, 0], &self.revision.0[..], &self.previous_revision.0, name.as_bytes()].concat()
    }

    fn from_body(mut body: Reader) -> Result<Self, Fault> {
        if body.byte()? != 0 {
            return Err(Fault::Newer);
        }
        let revision = Revision::from_bytes(body.array()?).ok_or(Fault::Broken("no revision"))?;
        let previous = Revision::from_bytes(body.array()?).ok_or(Fault::Broken("no revision"))?;
        let successor = std::str::from_utf8(&body.0).ok().and_then(SessionKey::from_storage_name);
        let successor = successor.ok_or(Fault::Broken("its marker leads nowhere"))?;
        Ok(Self { successor, revision, previous_revision: previous })
    }
}

/// The value that a store of bytes holds under a key: a session, or the marker of a rotation.
///
/// ```
/// use session_store::{Envelope, Payload, Record, SessionId, Timestamp};
///
/// let key = SessionId::generate().key();
/// let data = Payload::new(1, "{}");
/// let record = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2), data);
/// let stored = Envelope::from_bytes(&key, record.to_bytes().into())?;
/// assert_eq!(stored, Envelope::Record(record));
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Envelope {
    /// A session.
    Record(Record),
    /// The session moved to another id.
    Moved(Moved),
}

impl Envelope {
    /// Whether this contains the write of `revision`, as the last one or the one before it: then a
    /// write of that revision was sent twice, and a custom store answers it as the first time.
    ///
    /// ```
    /// use session_store::{Envelope, Payload, Record, Revision, Timestamp};
    ///
    /// let first = Record::new(Timestamp::from_millis(1), Timestamp::from_millis(2), Payload::new(1, "{}"));
    /// let stored = Envelope::Record(first.next());
    /// assert!(stored.bears(first.revision));
    /// assert!(!stored.bears(Revision::fresh()));
    /// ```
    pub fn bears(&self, revision: Revision) -> bool {
        match self {
            Self::Record(record) => record.bears(revision),
            Self::Moved(marker) => marker.bears(revision),
        }
    }

    /// Reads the bytes stored under `key`, without copying the data. See the [example](Self).
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for bytes that no version of this crate wrote, [`Error::NewerFormat`]
    /// for those of a version that this one doesn't know.
    pub fn from_bytes(key: &SessionKey, bytes: Bytes) -> Result<Self, Error> {
        let format = bytes.first().copied().unwrap_or(0);
        let body = Reader(bytes);
        let parsed = match format {
            RECORD_FORMAT => body.skip_format().and_then(Record::from_body).map(Self::Record),
            MOVED_FORMAT => body.skip_format().and_then(Moved::from_body).map(Self::Moved),
            0xA2..=0xAF | 0xB2..=0xBF => Err(Fault::Newer),
            _ => Err(Fault::Broken("it is not a session")),
        };
        parsed.map_err(|fault| fault.at(key, format))
    }
}

struct Reader(Bytes);

impl Reader {
    fn skip_format(mut self) -> Result<Self, Fault> {
        self.byte().map(|_| self)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let array = *self.0.first_chunk().ok_or(Fault::Broken(CUT_SHORT))?;
        self.0.advance(N);
        Ok(array)
    }

    fn peek(&self, length: usize) -> Result<&[u8], Fault> {
        self.0.get(..length).ok_or(Fault::Broken(CUT_SHORT))
    }

    fn text(&mut self, length: usize) -> Result<Arc<str>, Fault> {
        let bytes = self.peek(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::Broken("its owner or label is not text"))?;
        let text = text.into();
        self.0.advance(length);
        Ok(text)
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests;

//! An entry of a history, and the bytes that hold it.
//!
//! All numbers are big-endian:
//!
//! ```text
//!  0  format     0xC1
//!  1  what happened, by its code
//!  2  at         milliseconds
//! 10  began      milliseconds
//! 18  session    its key: 3 bytes of the lineage, 21 of the digest
//! 42  length of the label, 2 bytes, 0 for none; the label;
//!     further fields, such as a label that is sealed (1), or what later versions add: each a tag, 1 byte, a length, 2 bytes, and its value
//! ```

use std::fmt;

use bytes::{Buf as _, Bytes};

use crate::clock::Timestamp;
use crate::id::{COMPACT_KEY_LENGTH, SessionKey};
use crate::record::Label;
use crate::store::scan::SessionSummary;

const FORMAT: u8 = 0xC1;
const SEALED_LABEL: u8 = 0x01;
/// Where an entry has its two moments.
#[cfg(feature = "redis")]
pub(crate) const AT: usize = 2;
#[cfg(feature = "redis")]
pub(crate) const BEGAN: usize = 10;
/// Where the label begins: the length of what each entry has.
pub(crate) const FIXED_LENGTH: usize = 18 + COMPACT_KEY_LENGTH + 2;

/// Something that happened to a session of an owner, from
/// [`SessionManager::history_of`](crate::SessionManager::history_of).
///
/// ```
/// use session_store::{HistoryEntry, HistoryEvent, Label, SessionId, Timestamp};
///
/// let (began, ended) = (Timestamp::from_millis(1_767_225_600_000), Timestamp::from_millis(1_767_229_200_000));
/// let id = SessionId::generate();
/// let mut sign_in = HistoryEntry::new(began, HistoryEvent::SignedIn, id.key(), began);
/// sign_in.label = Label::truncated("Firefox on Linux");
///
/// // The session has another key by now, and is the same one.
/// let sign_out = HistoryEntry::new(ended, HistoryEvent::SignedOut, id.rotated().key(), began);
/// assert!(sign_out.is_of_same_session(&sign_in) && sign_out.what.is_end());
///
/// assert_eq!(HistoryEntry::from_bytes(&sign_in.to_bytes()), Some(sign_in));
/// ```
///
/// As JSON the fields are in camel case, and times are milliseconds since the Unix epoch:
///
/// ```json
/// {
///   "at": 1767225600000, "what": "signedIn", "session": "{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK",
///   "began": 1767225600000, "label": "Firefox on Linux"
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct HistoryEntry {
    /// When it happened, by the clock of the instance that saw it; of an expired session, when its time was over.
    pub at: Timestamp,
    /// What happened.
    pub what: HistoryEvent,
    /// The key that the session had then; a renewal changes it.
    pub session: SessionKey,
    /// When the session, or its present sign-in, began.
    pub began: Timestamp,
    /// The application's name for the session, such as its device.
    pub label: Option<Label>,
    /// The label in the form in which it rests, where it is sealed.
    #[cfg_attr(feature = "json", serde(skip))]
    pub(crate) sealed_label: Option<Bytes>,
}

impl HistoryEntry {
    /// Makes an entry without a label. See the [example](Self).
    pub fn new(at: Timestamp, what: HistoryEvent, session: SessionKey, began: Timestamp) -> Self {
        Self { at, what, session, began, label: None, sealed_label: None }
    }

    /// How many bytes its label takes, sealed or not.
    #[cfg(feature = "memory")]
    pub(crate) fn label_length(&self) -> usize {
        let label = self.label.as_ref().map_or(0, |label| label.as_str().len());
        label + self.sealed_label.as_ref().map_or(0, Bytes::len)
    }

    /// Whether both are about one session of one owner, whatever ids it has had. See the [example](Self).
    pub fn is_of_same_session(&self, other: &Self) -> bool {
        self.began == other.began && self.session.lineage() == other.session.lineage()
    }

    /// Whether it is about this session of the owner, whatever ids that has had: to tell on a page of devices which
    /// sign-ins still last.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// use session_store::HistoryBounds;
    ///
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .history(HistoryBounds::default())
    ///     .build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.sign_in("ada", |_| ())?;
    /// # session.save().await?;
    /// let devices = manager.sessions_of("ada").await?;
    /// for entry in manager.history_of("ada").await? {
    ///     let lasts = devices.iter().any(|device| entry.is_about(device));
    ///     println!("{}{}", entry.what, if lasts { ", still signed in" } else { "" });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_about(&self, session: &SessionSummary) -> bool {
        self.began == session.created_at && self.session.lineage() == session.key.lineage()
    }

    /// The entry's bytes: 44, and the label. For a custom store; [`from_bytes`](Self::from_bytes) reads them. See the
    /// [example](Self).
    pub fn to_bytes(&self) -> Vec<u8> {
        let label = self.label.as_ref().map_or("", Label::as_str);
        let label_length = u16::try_from(label.len()).expect("bounded by Label::MAX_LENGTH");
        let mut out = Vec::with_capacity(FIXED_LENGTH + label.len());
        out.extend([FORMAT, self.what.code()]);
        out.extend(self.at.as_millis().to_be_bytes());
        out.extend(self.began.as_millis().to_be_bytes());
        out.extend(self.session.to_compact());
        out.extend(label_length.to_be_bytes());
        out.extend(label.as_bytes());
        if let Some(sealed) = &self.sealed_label {
            let length =
                u16::try_from(sealed.len()).expect("a label is short, and so is what it is sealed to");
            out.push(SEALED_LABEL);
            out.extend(length.to_be_bytes());
            out.extend(sealed);
        }
        out
    }

    /// Reads an entry, passing over fields that a later version added. `None` for bytes that are no entry, and for a
    /// format that this version does not know. See the [example](Self).
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != FORMAT {
            return None;
        }
        let what = HistoryEvent::from_code(bytes.try_get_u8().ok()?);
        let at = Timestamp::from_millis(bytes.try_get_u64().ok()?);
        let began = Timestamp::from_millis(bytes.try_get_u64().ok()?);
        let (session, mut bytes) = bytes.split_first_chunk()?;
        let length = usize::from(bytes.try_get_u16().ok()?);
        let (label, mut fields) = bytes.split_at_checked(length)?;
        let label = match label {
            [] => None,
            text => Some(Label::new(std::str::from_utf8(text).ok()?).ok()?),
        };
        let mut sealed_label = None;
        while let Ok(tag) = fields.try_get_u8() {
            let length = usize::from(fields.try_get_u16().ok()?);
            let (value, rest) = fields.split_at_checked(length)?;
            fields = rest;
            if tag == SEALED_LABEL {
                sealed_label = Some(Bytes::copy_from_slice(value));
            }
        }
        Some(Self { at, what, session: SessionKey::from_compact(*session), began, label, sealed_label })
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal $words:literal,)*) => {
        /// What happened to a session; `Display` says it in words.
        ///
        /// ```
        /// use session_store::HistoryEvent;
        ///
        /// assert_eq!(HistoryEvent::SignedIn.to_string(), "signed in");
        /// assert_eq!(HistoryEvent::SignedIn.as_str(), "signedIn");
        /// // What a later version tells of stays what it is.
        /// let later = HistoryEvent::from_code(200);
        /// assert_eq!((later.code(), later.as_str()), (200, "unknown"));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum HistoryEvent {
            $($(#[$doc])* $variant,)*
            /// Something that this version does not know, by its code.
            Unknown(u8),
        }

        impl HistoryEvent {
            /// The event's code in a stored entry, which no version changes. See the [example](Self).
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            /// The event of a code; [`Unknown`](Self::Unknown) for one that this version has none for. See the
            /// [example](Self).
            pub const fn from_code(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    code => Self::Unknown(code),
                }
            }

            /// The event's name for programs, as JSON has it. See the [example](Self).
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown(_) => "unknown",
                }
            }

            const fn words(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)*
                    Self::Unknown(_) => "unknown event",
                }
            }
        }

        #[cfg(test)]
        const ALL: &[HistoryEvent] = &[$(HistoryEvent::$variant),*];
    };
}

// Codes are stored: a new event gets a new one, and none is used again.
events! {
    /// Somebody signed in.
    SignedIn = 1 "signedIn" "signed in",
    /// The user authenticated again in a session that goes on.
    Confirmed = 2 "confirmed" "confirmed",
    /// A request of the session ended it.
    SignedOut = 3 "signedOut" "signed out",
    /// It was ended from outside: from another device, by the application or by an operator.
    Revoked = 4 "revoked" "revoked",
    /// A sign-in beyond the [limit](crate::SessionManagerBuilder::max_sessions_per_owner) ended it.
    Evicted = 5 "evicted" "evicted",
    /// It was past its time when a request came with it. One that nobody comes with again ends without an entry.
    Expired = 6 "expired" "expired",
    /// A browser bound it to its device.
    DeviceBound = 7 "deviceBound" "device bound",
    /// Requests come without the proof of the device that it is bound to. Recorded once, not for each request.
    DeviceLost = 8 "deviceLost" "device lost",
    /// It was found to be the owner's, who had signed in elsewhere or before.
    OwnerNamed = 9 "ownerNamed" "owner named",
    /// The next sign-in of the same browser took its place.
    Replaced = 10 "replaced" "replaced",
    /// A proof of its device was refused: somebody may have its cookie. Recorded once, not for each request.
    DeviceRefused = 11 "deviceRefused" "device refused",
}

impl HistoryEvent {
    /// Whether the session is over since then. See the example of [`HistoryEntry`].
    pub const fn is_end(self) -> bool {
        matches!(self, Self::SignedOut | Self::Revoked | Self::Evicted | Self::Expired | Self::Replaced)
    }
}

impl fmt::Display for HistoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(code) => write!(f, "{} {code}", self.words()),
            _ => f.write_str(self.words()),
        }
    }
}

#[cfg(feature = "json")]
impl serde::Serialize for HistoryEvent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;

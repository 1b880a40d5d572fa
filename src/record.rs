//! A session as it is stored.

#[cfg(feature = "json")]
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "json")]
use base64::Engine as _;
#[cfg(feature = "json")]
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::error::Error;
#[cfg(feature = "json")]
use crate::id::SessionKey;
use crate::random;

#[cfg(feature = "json")]
mod authentication;
#[cfg(feature = "memory")]
#[cfg_attr(not(feature = "json"), allow(dead_code, reason = "without codecs nothing is decoded"))]
mod decoded;
#[cfg(feature = "json")]
#[cfg_attr(not(feature = "device-bound"), allow(dead_code, reason = "nobody binds sessions"))]
pub(crate) mod device_key;
mod envelope;
mod extensions;
mod fault;
mod owner_hash;
mod payload;

#[cfg(feature = "json")]
pub(crate) use authentication::Authentication;
#[cfg(feature = "json")]
pub use authentication::{AuthMethod, AuthMethods};
#[cfg(feature = "memory")]
pub(crate) use decoded::MemoryBudget;
pub use envelope::{Envelope, Moved};
#[cfg(feature = "redis")]
pub(crate) use envelope::{
    KNOWN_FLAGS, LONGEST_HEAD, MARKER_LENGTH, MOVED_FORMAT, PREVIOUS_REVISION, RECORD_FORMAT, SHORTEST_RECORD,
};
pub use extensions::Extensions;
pub use owner_hash::OwnerHash;
pub use payload::Payload;

/// One version of a session's record: a random number that each write draws afresh.
///
/// Compare-and-swap compares revisions. Because a revision is random and not a counter, a write that is
/// sent twice can recognise itself in the store.
///
/// ```
/// use session_store::{Payload, Record, Timestamp};
///
/// # let (now, end) = (Timestamp::from_millis(1), Timestamp::from_millis(60_001));
/// let record = Record::new(now, end, Payload::new(1, "{}"));
/// let next = record.next();
/// assert_ne!(next.revision, record.revision);
/// assert_eq!(next.previous_revision, Some(record.revision));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision([u8; 8]);

impl Revision {
    /// Draws a unique revision. [`Record::new`] and [`Record::next`] do so themselves, as in the [example](Self).
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn fresh() -> Self {
        // Zero stands for "none" in the envelope.
        std::iter::repeat_with(random::bytes).find(|b| *b != [0; 8]).map(Self).expect("endless")
    }

    /// The revision's 8 bytes, never all zero: for a custom store that keeps it in a column.
    ///
    /// ```
    /// use session_store::Revision;
    ///
    /// let column = u64::from_be_bytes(Revision::fresh().to_bytes());
    /// assert_ne!(column, 0);
    /// ```
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// The user who is signed in, by the application's own name: 1 to 256 bytes.
///
/// ```
/// use session_store::Owner;
///
/// assert_eq!(Owner::new("ada")?.as_str(), "ada");
/// assert!(Owner::new("").is_err());
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The longest name of an owner, in bytes.
    pub const MAX_LENGTH: usize = 256;

    /// Checks the name of an owner. A name that never changes is best, such as a user's number.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty name, and for one over [`Owner::MAX_LENGTH`].
    ///
    /// ```
    /// use session_store::{Error, Owner};
    ///
    /// let owner = Owner::new(4711.to_string())?;
    /// // Names stay out of logs: `Debug` shows none.
    /// assert_eq!(format!("{owner:?}"), "Owner(..)");
    /// assert!(matches!(Owner::new("x".repeat(257)), Err(Error::InvalidInput { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new(name: impl AsRef<str>) -> Result<Self, Error> {
        named("the owner's name", Self::MAX_LENGTH, name.as_ref()).map(Self)
    }

    /// The name of an owner that tells nobody who it is: 32 characters, made of the name and a key. Sign in as it, and ask
    /// for the sessions of it, where the store must not know who uses a service.
    ///
    /// The same name and key give the same owner. So the key never retires: after a change nobody's sessions are found.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use session_store::{Key, Owner};
    ///
    /// let key = Key::new("XwZ8Vt4u1oJ0q9sYpQmC3rLhBdKfGnTe5iAxUy7E")?;
    /// let owner = Owner::hashed(&key, "ada@example.com")?;
    /// assert_eq!(owner.as_str().len(), 32);
    /// assert_eq!(owner, Owner::hashed(&key, "ada@example.com")?);
    /// assert_ne!(owner, Owner::hashed(&Key::generate(), "ada@example.com")?);
    /// # Ok::<(), session_store::Error>(())
    /// ```
    #[cfg(feature = "json")]
    pub fn hashed(key: &crate::Key, name: impl AsRef<str>) -> Result<Self, Error> {
        let name = Self::new(name)?;
        let hash = key.derived(&[b"session-store owner v1:", name.as_str().as_bytes()].concat());
        Self::new(URL_SAFE_NO_PAD.encode(&hash[..24]))
    }

    /// The owner's name. See the [example](Self).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "json")]
impl serde::Serialize for Owner {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl AsRef<str> for Owner {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Owner {
    // A user's name is personal data: it stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owner(..)")
    }
}

/// The application's name for a session in a list of a user's sessions: a device, an address, 1 to 256 bytes.
///
/// ```
/// use session_store::Label;
///
/// assert_eq!(Label::new("Firefox on Linux")?.as_str(), "Firefox on Linux");
/// assert!(Label::new("x".repeat(257)).is_err());
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// The longest label, in bytes.
    pub const MAX_LENGTH: usize = 256;

    /// Makes a label of this text. See the [example](Self); [`Session::set_label`](crate::Session::set_label) takes a
    /// text of any length.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for an empty text, and for one over [`Label::MAX_LENGTH`].
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        named("the session's label", Self::MAX_LENGTH, text.as_ref()).map(Self)
    }

    /// Makes a label of the beginning of a text, such as a `User-Agent` header, as far as it fits. `None` if the text
    /// is empty.
    ///
    /// ```
    /// use session_store::Label;
    ///
    /// let label = Label::truncated(&"é".repeat(200)).expect("it is not empty");
    /// assert_eq!(label.as_str(), "é".repeat(128));
    /// ```
    pub fn truncated(text: &str) -> Option<Self> {
        let end = (0..=text.len().min(Self::MAX_LENGTH)).rev().find(|end| text.is_char_boundary(*end))?;
        Self::new(&text[..end]).ok()
    }

    /// The label's text. See the [example](Self).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "json")]
impl serde::Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Label {
    // An address is personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Label(..)")
    }
}

/// A text of 1 to `limit` bytes.
fn named(what: &'static str, limit: usize, text: &str) -> Result<Arc<str>, Error> {
    let reason = match text.len() {
        0 => "it is empty".to_owned(),
        size if size > limit => format!("it takes {size} bytes, the limit is {limit}"),
        _ => return Ok(text.into()),
    };
    Err(Error::InvalidInput { what, reason })
}

/// A session as it is stored.
///
/// ```
/// use session_store::{Payload, Record, Timestamp};
///
/// # let (now, end) = (Timestamp::from_millis(1), Timestamp::from_millis(60_001));
/// let mut record = Record::new(now, end, Payload::new(1, r#"{"cart":["tea"]}"#));
/// record.owner = Some(session_store::Owner::new("ada")?);
/// record.idle_timeout = Some(std::time::Duration::from_secs(60));
/// # Ok::<(), session_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When the session, or its present sign-in, began.
    pub created_at: Timestamp,
    /// When it ends if it is not used again.
    pub expires_at: Timestamp,
    /// The idle timeout in force at the last write, in whole milliseconds.
    pub idle_timeout: Option<Duration>,
    /// When it ends however active it is.
    pub absolute_deadline: Option<Timestamp>,
    /// Whether `idle_timeout` and `absolute_deadline` are the session's own ("remember me") and not the manager's policy.
    pub own_expiry: bool,
    /// Whether only the idle timeout is the session's own, and its cookie outlives the browser: Express' `maxAge`.
    pub own_idle_timeout: bool,
    /// Whether its cookie ends with the browser, whatever the manager says of cookies: what Express calls
    /// `maxAge: null`.
    pub(crate) ends_with_browser: bool,
    /// The user who is signed in.
    pub owner: Option<Owner>,
    /// The application's name for the session.
    pub label: Option<Label>,
    /// Entries that a later version of this crate stores beside the data.
    pub extensions: Extensions,
    /// The version of this record.
    pub revision: Revision,
    /// The version before it, by which a write sent twice recognises itself.
    pub previous_revision: Option<Revision>,
    /// The session's data.
    pub data: Payload,
    /// What express-session keeps of the cookie in the session, for that layout alone.
    pub(crate) express_cookie: Option<Box<Payload>>,
    /// What this crate wrote last, in that layout, where Node has its own word.
    pub(crate) written: Option<Box<Written>>,
    /// What the store has of it, where that is in another form: sealed or compressed.
    #[cfg(feature = "json")]
    pub(crate) at_rest: Option<Arc<RecordAtRest>>,
}

/// What this crate wrote of a session that Node writes too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// The end, which Node may have moved since.
    pub(crate) end: Option<Timestamp>,
    /// The owner, where the data tells another.
    pub(crate) owner: Option<Box<Option<Owner>>>,
}

/// The parts of a record that a store may hold in another form.
#[cfg(feature = "json")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RecordAtRest {
    pub(crate) data: Payload,
    pub(crate) label: Option<Label>,
    pub(crate) extensions: Extensions,
}

impl Record {
    /// Makes a record without owner or timeouts, with a fresh revision. See the [example](Self).
    pub fn new(created_at: Timestamp, expires_at: Timestamp, data: Payload) -> Self {
        Self::of_revision(Revision::fresh(), created_at, expires_at, data)
    }

    /// The same under a revision that is known.
    pub(crate) fn of_revision(
        revision: Revision,
        created_at: Timestamp,
        expires_at: Timestamp,
        data: Payload,
    ) -> Self {
        Self {
            created_at,
            expires_at,
            idle_timeout: None,
            absolute_deadline: None,
            own_expiry: false,
            own_idle_timeout: false,
            ends_with_browser: false,
            owner: None,
            label: None,
            extensions: Extensions::default(),
            revision,
            previous_revision: None,
            data,
            express_cookie: None,
            written: None,
            #[cfg(feature = "json")]
            at_rest: None,
        }
    }

    /// Makes the next version: with a fresh revision that remembers the present one.
    ///
    /// ```
    /// use session_store::{Payload, Record, Timestamp};
    ///
    /// # let (now, end) = (Timestamp::from_millis(1), Timestamp::from_millis(60_001));
    /// let record = Record::new(now, end, Payload::new(1, "{}"));
    /// // What `SessionStore::update` writes in place of `record`.
    /// let mut changed = record.next();
    /// changed.data = Payload::new(1, r#"{"theme":"dark"}"#);
    /// assert_eq!(changed.previous_revision, Some(record.revision));
    /// ```
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            revision: Revision::fresh(),
            previous_revision: Some(self.revision),
            written: None,
            #[cfg(feature = "json")]
            at_rest: None,
            ..self.clone()
        }
    }

    /// The same with the end that this crate last gave it, and not the one that Node did.
    #[cfg(feature = "json")]
    pub(crate) fn as_written(&self) -> Self {
        let written = self.written.as_ref().and_then(|written| written.end);
        Self { expires_at: written.unwrap_or(self.expires_at), ..self.clone() }
    }

    /// Its data as a store holds it.
    pub(crate) fn stored_data(&self) -> &Payload {
        #[cfg(feature = "json")]
        if let Some(at_rest) = &self.at_rest {
            return &at_rest.data;
        }
        &self.data
    }

    /// The same in the form in which a store holds it.
    #[cfg(feature = "json")]
    pub(crate) fn as_stored(&self) -> Cow<'_, Self> {
        let Some(at_rest) = &self.at_rest else { return Cow::Borrowed(self) };
        Cow::Owned(Self {
            data: at_rest.data.clone(),
            label: at_rest.label.clone(),
            extensions: at_rest.extensions.clone(),
            at_rest: None,
            ..self.clone()
        })
    }

    /// The revision that a write of this record replaces: where it has no previous one its own, which nothing
    /// else has.
    pub(crate) fn replaces(&self) -> Revision {
        self.previous_revision.unwrap_or(self.revision)
    }

    /// For whom the session is in the index of owners.
    #[cfg(feature = "json")]
    pub(crate) fn entered_owner(&self) -> Option<&Owner> {
        let stored = self.written.as_ref().and_then(|written| written.owner.as_deref());
        stored.map_or(self.owner.as_ref(), Option::as_ref)
    }

    /// Whether its data tells another owner than the one that is stored.
    #[cfg(feature = "json")]
    pub(crate) fn is_told_otherwise(&self) -> bool {
        self.written.as_ref().is_some_and(|written| written.owner.is_some())
    }

    /// Whether another service reads it as well.
    #[cfg(feature = "json")]
    pub(crate) fn is_shared(&self) -> bool {
        self.express_cookie.is_some()
    }

    /// The error of a record whose data does not decode.
    #[cfg(feature = "json")]
    pub(crate) fn unreadable(&self, key: SessionKey, reason: &'static str) -> Error {
        if self.is_shared() { Error::Unreadable { key, reason } } else { Error::Corrupt { key, reason } }
    }

    fn bears(&self, revision: Revision) -> bool {
        self.revision == revision || self.previous_revision == Some(revision)
    }
}

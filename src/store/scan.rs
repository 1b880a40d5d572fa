//! Going through all the sessions of a store, a page at a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Label, Owner, OwnerHash, Payload, Record};

/// Goes through all sessions of a store, and through the owners in its index.
///
/// From the first page to the last, each session that exists throughout is seen at least once; one that comes, goes
/// or gets a new id meanwhile may be seen or not. A session may be on two pages. An application calls
/// [`SessionManager::sessions`](crate::SessionManager::sessions).
///
/// ```
/// use session_store::{MemoryStore, SessionStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let store = MemoryStore::new();
/// let scan = store.scan().expect("this store can be scanned");
/// let mut cursor = None;
/// loop {
///     let page = scan.page(cursor.as_ref(), 100).await?;
///     println!("{} sessions, {:.0} % seen", page.sessions.len(), page.progress * 100.0);
///     cursor = page.next;
///     if cursor.is_none() {
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Scan: Send + Sync {
    /// The page at `cursor`, or the first one. About `size` keys are looked at for it (at least 1, and
    /// at most [`Page::MAX_SIZE`]), so it may have fewer sessions, or none, and still not be the last one:
    /// only the last page has no `next`.
    ///
    /// # Errors
    ///
    /// Those of a [`SessionStore`](crate::SessionStore); the same page may be asked for again.
    /// [`Error::InvalidInput`] for a cursor that this store did not issue.
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error>;

    /// The memory that the store's sessions take, and about how many there are.
    async fn usage(&self) -> Result<Usage, Error>;

    /// A page of the owners in the store's [index](crate::OwnerIndex), by the rules of [`page`](Self::page). Empty
    /// where the store keeps no index.
    ///
    /// # Errors
    ///
    /// As for [`page`](Self::page).
    async fn owners_page(&self, cursor: Option<&Cursor>, size: usize) -> Result<OwnersPage, Error>;
}

/// A page of a store's sessions, from a [`Scan`], which has an example, or from
/// [`SessionManager::page_of`](crate::SessionManager::page_of).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The sessions, without those that have another id by now.
    pub sessions: Vec<SessionSummary>,
    /// The keys of values that cannot be read as sessions: cut short, or written by a newer version.
    pub unreadable: Vec<SessionKey>,
    /// The place of the next page; `None` at the end.
    pub next: Option<Cursor>,
    /// About which share of the store has been looked at, from 0 to 1.
    pub progress: f64,
}

impl Page {
    /// The most keys that are looked at for a page.
    pub const MAX_SIZE: usize = 10_000;
}

/// A page of the owners in a store's index, from [`Scan::owners_page`].
///
/// ```
/// use session_store::{Error, Scan};
///
/// async fn count_owners(scan: &dyn Scan) -> Result<usize, Error> {
///     let (mut count, mut cursor) = (0, None);
///     loop {
///         let page = scan.owners_page(cursor.as_ref(), 500).await?;
///         count += page.owners.len();
///         cursor = page.next;
///         if cursor.is_none() {
///             return Ok(count);
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct OwnersPage {
    /// Owners with an entry; those of whom only a revocation is known may be among them.
    pub owners: Vec<OwnerHash>,
    /// The place of the next page; `None` at the end.
    pub next: Option<Cursor>,
    /// About which share of the store has been looked at, from 0 to 1.
    pub progress: f64,
}

/// A place between two pages: a text that may be kept, and used by another process later.
///
/// ```
/// use session_store::Cursor;
///
/// # let from_store = Cursor::new("2:17");
/// // To a link "next page", and back from its query string.
/// let link = format!("/sessions?after={from_store}");
/// let after: Cursor = link.split_once("after=").unwrap().1.parse().unwrap();
/// assert_eq!(after.as_str(), from_store.as_str());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Makes a cursor from its text, as a custom store does, or a program that has kept the text.
    ///
    /// ```
    /// use session_store::Cursor;
    ///
    /// // A store in a database goes on behind the last row of the page.
    /// let last_row = 500;
    /// assert_eq!(Cursor::new(format!("after-{last_row}")).as_str(), "after-500");
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What a store says of a cursor that it did not make.
    #[cfg(any(feature = "memory", feature = "redis"))]
    pub(crate) fn is_strange() -> Error {
        let reason = "it was not issued by this store; start again without a cursor".to_owned();
        Error::InvalidInput { what: "the cursor", reason }
    }

    /// What comes after this mark, with which a store's cursors begin.
    #[cfg(any(feature = "memory", feature = "redis"))]
    pub(crate) fn after(&self, mark: &str) -> Result<&str, Error> {
        self.0.strip_prefix(mark).ok_or_else(Self::is_strange)
    }

    /// The cursor's text. See the [example](Self).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// A session without its data, as in a list of a user's devices.
///
/// ```
/// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// # let session = manager.begin(None).session().await?;
/// session.sign_in("ada", |_| ())?;
/// session.set_label("Firefox on Linux")?;
/// session.save().await?;
///
/// for device in manager.sessions_of("ada").await? {
///     let label = device.label.as_ref().map_or("unknown device", |label| label.as_str());
///     let here = if device.is_current(&session) { ", this device" } else { "" };
///     println!("{label}{here}, last seen at {:?}", device.last_seen());
/// }
/// # Ok(())
/// # }
/// ```
///
/// As JSON the fields are in camel case, and times are milliseconds since the Unix epoch, such as JavaScript's
/// `new Date(…)` takes:
///
/// ```json
/// {
///   "key": "{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK", "owner": "ada", "label": "Firefox on Linux",
///   "createdAt": 1767225600000, "expiresAt": 1767312000000, "idleTimeoutMillis": 86400000,
///   "absoluteDeadline": null, "codec": 1, "sealed": false, "compressed": false, "dataBytes": 118
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct SessionSummary {
    /// The session's key: safe to log and to show.
    pub key: SessionKey,
    /// The user who is signed in.
    pub owner: Option<Owner>,
    /// The application's name for it; `None` also where it is sealed, but for an owner's
    /// [list](crate::SessionManager::sessions_of), which shows it.
    pub label: Option<Label>,
    /// When the session, or its present sign-in, began.
    pub created_at: Timestamp,
    /// When it ends if it is not used again.
    pub expires_at: Timestamp,
    /// Its idle timeout.
    #[cfg_attr(feature = "json", serde(rename = "idleTimeoutMillis", serialize_with = "as_millis"))]
    pub idle_timeout: Option<Duration>,
    /// When it ends however active it is.
    pub absolute_deadline: Option<Timestamp>,
    /// The tag of the codec that wrote its data.
    pub codec: u8,
    /// Whether its data is encrypted.
    pub sealed: bool,
    /// Whether its data is compressed.
    pub compressed: bool,
    /// How many bytes its data takes in the store.
    pub data_bytes: usize,
}

#[cfg(feature = "json")]
#[expect(clippy::ref_option, reason = "as serde has it")]
fn as_millis<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&time.map(crate::clock::millis_rounded_up), serializer)
}

impl SessionSummary {
    /// Summarizes a record, for a custom store's [`Scan`].
    ///
    /// ```
    /// use session_store::{Payload, Record, SessionId, SessionSummary, Timestamp};
    ///
    /// let (began, ends) = (Timestamp::from_millis(1), Timestamp::from_millis(60_001));
    /// let record = Record::new(began, ends, Payload::new(1, "{}"));
    /// let summary = SessionSummary::new(SessionId::generate().key(), &record);
    /// assert_eq!((summary.data_bytes, summary.owner), (2, None));
    /// ```
    pub fn new(key: SessionKey, record: &Record) -> Self {
        let stored = record.stored_data();
        Self {
            key,
            owner: record.owner.clone(),
            label: record.label.clone(),
            created_at: record.created_at,
            expires_at: record.expires_at,
            idle_timeout: record.idle_timeout,
            absolute_deadline: record.absolute_deadline,
            codec: Payload::codec_of(stored.codec()),
            sealed: stored.is_sealed(),
            compressed: stored.is_compressed(),
            data_bytes: stored.bytes().len(),
        }
    }

    /// Whether this is the request's own session: the device on which the user looks at the list. True also if the
    /// request has given the session a new id since.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.sign_in("ada", |_| ())?;
    /// # session.save().await?;
    /// let devices = manager.sessions_of("ada").await?;
    /// // "Sign out" is offered for the others; this one has its own button.
    /// assert!(devices.iter().all(|device| device.is_current(&session)));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "json")]
    pub fn is_current<T: crate::SessionData>(&self, session: &crate::Session<T>) -> bool {
        session.key().is_some_and(|key| key == self.key || key.lineage() == self.key.lineage())
    }

    /// Whether its time is over.
    #[cfg(feature = "json")]
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at <= now || self.absolute_deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When it was last used, or a little earlier: requests that only read move it once the manager's
    /// [touch share](crate::SessionManagerBuilder::touch_share) of the idle timeout has passed, which is a tenth by
    /// default (2.4 hours for 24 hours, 3 days for 30 days). Where `expires_at` is the absolute deadline, it no
    /// longer moves, and may be the whole idle timeout too early; so with an idle timeout no shorter than the
    /// absolute one it stays at the sign-in. `None` without an idle timeout.
    ///
    /// ```
    /// use session_store::{Payload, Record, SessionId, SessionSummary, Timestamp};
    /// use std::time::Duration;
    ///
    /// let (began, ends) = (Timestamp::from_millis(0), Timestamp::from_millis(90_000));
    /// let mut record = Record::new(began, ends, Payload::new(1, "{}"));
    /// record.idle_timeout = Some(Duration::from_secs(60));
    /// let summary = SessionSummary::new(SessionId::generate().key(), &record);
    /// assert_eq!(summary.last_seen(), Some(Timestamp::from_millis(30_000)));
    /// ```
    pub fn last_seen(&self) -> Option<Timestamp> {
        let idle = u64::try_from(self.idle_timeout?.as_millis()).unwrap_or(u64::MAX);
        let used = Timestamp::from_millis(self.expires_at.as_millis().saturating_sub(idle));
        Some(used.max(self.created_at))
    }
}

/// The memory that a store's sessions take, and their number; from
/// [`SessionManager::usage`](crate::SessionManager::usage), which has an example.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Usage {
    /// About how many sessions there are.
    pub sessions: f64,
    /// How far off that may be, to either side, in 95 of 100 cases; 0 for an exact count.
    pub error: f64,
    /// Bytes in use on all servers together, by everything stored there.
    pub used_bytes: Option<u64>,
    /// The limit of their memory in bytes, if there is one.
    pub limit_bytes: Option<u64>,
    /// About how many bytes a session takes: in Redis its key alone, without the server's table (about 60
    /// bytes) and the index of owners (about 230 for an owner's first session, 60 for each further one).
    pub bytes_per_session: Option<f64>,
}

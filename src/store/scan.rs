//! Going through all the sessions of a store, a page at a time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Label, Owner, Record};

/// What a store that can go through its sessions offers.
///
/// Whoever goes from the first page to the last sees each session at least once that was there all the
/// time; one that came, went or got a new id meanwhile may be seen or not. A session may be on two pages.
#[async_trait]
pub trait Scan: Send + Sync {
    /// The page at `cursor`, or the first one. About `size` keys are looked at for it (1 at least, and
    /// [`Page::MAX_SIZE`] at most), so it may have fewer sessions, or none, and still not be the last one:
    /// that is the one without a `next`.
    ///
    /// # Errors
    ///
    /// Those of a [`SessionStore`](crate::SessionStore); the same page may be asked for again.
    /// [`Error::InvalidInput`] for a cursor that is none of this store's.
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error>;

    /// What the store's sessions take, and about how many there are.
    async fn usage(&self) -> Result<Usage, Error>;
}

/// Some of a store's sessions.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The sessions, without those that have another id by now.
    pub sessions: Vec<SessionSummary>,
    /// What is stored as a session is, and cannot be read as one: cut short, or written by a newer version.
    pub unreadable: Vec<SessionKey>,
    /// Where it goes on; `None` at the end.
    pub next: Option<Cursor>,
    /// About which share of the whole was looked at by now, from 0 to 1.
    pub progress: f64,
}

impl Page {
    /// The most keys that are looked at for a page.
    pub const MAX_SIZE: usize = 10_000;
}

/// A place between two pages: a text that may be kept, and used by another process later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor of a store of one's own.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What a store says of a cursor that it did not make.
    #[cfg(any(feature = "memory", feature = "redis"))]
    pub(crate) fn is_strange() -> Error {
        let reason = "it is none of this session store's: start without one".to_owned();
        Error::InvalidInput { what: "the cursor", reason }
    }

    /// The text.
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

/// What is known of a session without its data.
///
/// As JSON the fields are in camel case, and times are milliseconds since the Unix epoch, such as JavaScript's
/// `new Date(…)` takes:
///
/// ```json
/// {
///   "key": "{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK", "owner": "ada", "label": "Firefox on Linux",
///   "createdAt": 1767225600000, "expiresAt": 1767312000000, "idleTimeoutMillis": 86400000,
///   "absoluteDeadline": null, "codec": 1, "dataBytes": 118
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct SessionSummary {
    /// What the store knows it by: safe to log and to show.
    pub key: SessionKey,
    /// Who is signed in.
    pub owner: Option<Owner>,
    /// What the application calls it.
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
    /// How many bytes its data takes.
    pub data_bytes: usize,
}

#[cfg(feature = "json")]
#[expect(clippy::ref_option, reason = "as serde has it")]
fn as_millis<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&time.map(crate::clock::millis_rounded_up), serializer)
}

impl SessionSummary {
    /// The summary of a record.
    pub fn new(key: SessionKey, record: &Record) -> Self {
        Self {
            key,
            owner: record.owner.clone(),
            label: record.label.clone(),
            created_at: record.created_at,
            expires_at: record.expires_at,
            idle_timeout: record.idle_timeout,
            absolute_deadline: record.absolute_deadline,
            codec: record.data.codec(),
            data_bytes: record.data.bytes().len(),
        }
    }

    /// Whether this is the session of a request: the device that a user looks at the list with. So it is also
    /// if the request gave the session a new id since.
    #[cfg(feature = "json")]
    pub fn is_current<T: crate::SessionData>(&self, session: &crate::Session<T>) -> bool {
        session.key().is_some_and(|key| key == self.key || key.lineage() == self.key.lineage())
    }

    /// Whether its time is over.
    #[cfg(feature = "json")]
    pub(crate) fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at <= now || self.absolute_deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When it was last used: by a request that only read, to within the manager's
    /// [touch share](crate::SessionManagerBuilder::touch_share) of the idle timeout; near the absolute
    /// deadline, which nothing puts off, to within the idle timeout. `None` without an idle timeout.
    pub fn last_seen(&self) -> Option<Timestamp> {
        let idle = u64::try_from(self.idle_timeout?.as_millis()).unwrap_or(u64::MAX);
        let used = Timestamp::from_millis(self.expires_at.as_millis().saturating_sub(idle));
        Some(used.max(self.created_at))
    }
}

/// What a store's sessions take.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct Usage {
    /// About how many sessions there are.
    pub sessions: f64,
    /// How far off that may be, to either side, in 95 of 100 cases; 0 for an exact count.
    pub error: f64,
    /// Bytes in use, of all servers together, by whatever is kept there.
    pub used_bytes: Option<u64>,
    /// The most bytes that they may use, if there is a limit.
    pub limit_bytes: Option<u64>,
    /// About how many bytes a session takes: in Redis its key alone, without the server's table (some 60
    /// bytes) and the index of owners (some 230 for an owner's first session, 60 for each further one).
    pub bytes_per_session: Option<f64>,
}

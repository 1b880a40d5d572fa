//! What can go wrong, sorted by what a caller can do about it.

use std::error::Error as StdError;
use std::fmt;

use crate::id::SessionKey;

/// The source of an error, kept for the log.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Everything that can go wrong with a session.
///
/// No message, `Debug` output or source holds an id, a secret or a session's data.
/// [`status`](Error::status) is the HTTP status that the adapters answer with.
///
/// ```
/// use session_store::{Conflict, Error};
///
/// fn page(error: &Error) -> &'static str {
///     match error {
///         Error::Unavailable { .. } => "We'll be back in a moment.",
///         Error::Conflict(Conflict::TooManySessions) => "Please sign out on another device first.",
///         Error::Conflict(_) => "That was changed elsewhere. Please try again.",
///         Error::InvalidInput { .. } => "That name can't be used.",
///         // For operators: the message says what to do.
///         _ => "Something is wrong on our side.",
///     }
/// }
/// assert_eq!(page(&Conflict::Fields.into()), "That was changed elsewhere. Please try again.");
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not be reached, did not answer in time, or cannot serve at the moment
    /// (loading, failing over, read-only). Try again later.
    #[error("the session store is unavailable{}: {reason}", if *.outcome_unknown { "; whether the write took \
        effect is unknown" } else { "" })]
    #[non_exhaustive]
    Unavailable {
        /// Whether the operation may have taken effect nevertheless.
        outcome_unknown: bool,
        /// The cause.
        reason: String,
        /// The client library's error, where there is one.
        #[source]
        source: Option<BoxError>,
    },

    /// The store rejected the operation: out of memory, wrong password, missing permission.
    /// An operator has to act; the server's message says on what.
    #[error("the session store refused the operation: {message}")]
    Refused {
        /// The server's message.
        message: String,
    },

    /// The value under the key is not a session. It is left untouched.
    ///
    /// The engine treats such a session as absent, logs it and counts it.
    #[error("the record of session {key} cannot be read ({reason}); it was left untouched")]
    Corrupt {
        /// The session's key.
        key: SessionKey,
        /// The fault, without the content.
        reason: &'static str,
    },

    /// The session's data is sealed, and does not open: no key of this service fits, it was changed, or it belongs to
    /// another session. Or it is not sealed, and has to be. It is left untouched.
    ///
    /// The engine treats such a session as absent, and counts it.
    #[error("the data of session {key} is not opened ({reason}); it was left untouched")]
    Sealed {
        /// The session's key.
        key: SessionKey,
        /// Why it is not opened.
        reason: &'static str,
    },

    /// A session shared with another service cannot be read here: its data does not fit the type, or Express' value has
    /// an unusual form. It is left untouched.
    ///
    /// The other service can read it, so it is neither absent nor ended: the visitor keeps the cookie, and the
    /// request fails. An application that prefers to continue without a session matches this variant.
    #[error(
        "the session {key}, which is shared with another service, cannot be read here ({reason}); it was left \
         untouched"
    )]
    Unreadable {
        /// The session's key.
        key: SessionKey,
        /// The fault, without the content.
        reason: &'static str,
    },

    /// A newer version of this crate wrote the record. It is left untouched.
    ///
    /// Finish the deploy, or roll this crate forward: treating the session as absent would sign
    /// its visitor out.
    #[error(
        "the record of session {key} has envelope format {format:#04x}, \
         written by a newer version of session-store; upgrade this service"
    )]
    NewerFormat {
        /// The session's key.
        key: SessionKey,
        /// The first byte of the record, which names its format.
        format: u8,
    },

    /// All sessions of an owner are marked to end, but not all of them are deleted yet: time ran out,
    /// or the store failed. None can be extended or given a new id; the next operation on this owner's sessions deletes
    /// the rest. Repeat the call.
    #[error(
        "{ended} sessions were ended so far; the others are marked to end and cannot be extended; repeat the call"
    )]
    Unfinished {
        /// How many sessions were deleted.
        ended: u64,
        /// The store's error; `None` if time ran out.
        #[source]
        source: Option<Box<Error>>,
    },

    /// A setting is missing, malformed or contradicts another. The message says what to do.
    #[error("{0}")]
    Config(String),

    /// The visitor has to authenticate (again) before this. The status is 401.
    #[error("the visitor has to authenticate again")]
    Reauthenticate,

    /// The browser has to prove once more that it has the key of its device; it is redirected to where it is, and does so on
    /// its way. The status is 307.
    #[error("the browser has to prove that it is the device of its session")]
    ProofRequired,

    /// The request's input cannot be used: the name of an owner, a label, a cursor. The status is 400.
    #[error("{what} cannot be used: {reason}")]
    InvalidInput {
        /// The kind of input.
        what: &'static str,
        /// The fault, without the content.
        reason: String,
    },

    /// The change was not stored, because it cannot be reconciled with a concurrent one.
    #[error("{0}")]
    Conflict(Conflict),

    /// The session's encoded data exceeds its limit. The data stored before is untouched.
    #[error("{what} takes {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The thing that is too large.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },

    /// The session's data cannot be encoded: a float that is not a number, a map whose keys are
    /// not strings, or anything that the data's own `Serialize` refuses. Nothing was stored.
    #[error("the session's data cannot be encoded: {reason}")]
    Encode {
        /// The encoder's message.
        reason: String,
    },

    /// The store lacks the capability that the operation needs.
    #[error("this session store cannot {what}")]
    Unsupported {
        /// The missing capability.
        what: &'static str,
    },

    /// A session's data cannot be decoded as the type that was asked for.
    #[error("the session's data cannot be decoded: {reason}")]
    Decode {
        /// The fault, without the data.
        reason: &'static str,
    },
}

/// Why a change was not stored. Nothing was overwritten; in most cases, load the session again and repeat
/// the change.
///
/// ```
/// # #[cfg(feature = "json")] {
/// use session_store::{Conflict, Error, Session};
///
/// async fn save_twice(session: Session) -> Result<(), Error> {
///     session.write(|values| values.insert("theme", "dark"))??;
///     match session.save().await {
///         Err(Error::Conflict(Conflict::Fields)) => {
///             session.reload().await?;
///             session.write(|values| values.insert("theme", "dark"))??;
///             session.save().await
///         }
///         outcome => outcome,
///     }
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Another request changed the same field in a way that cannot be merged.
    #[error("another request changed the same part of the session; reload it and try again")]
    Fields,
    /// Another request signed the session in as somebody else, under the same id or a new one.
    #[error("the session's owner changed meanwhile; reload it and try again")]
    Owner,
    /// The session was logged out, revoked or expired while the request ran; or, if the request took a minute or
    /// longer, it may have got a new id, which can no longer be told from an end.
    #[error("the session ended while this request was running")]
    Ended,
    /// The owner has as many sessions as
    /// [`max_sessions_per_owner`](crate::SessionManagerBuilder::max_sessions_per_owner) allows.
    #[error("this user has as many sessions as are allowed; end one of them first")]
    TooManySessions,
    /// The session was given a new id while the request ran, and the change
    /// [does not follow it there](crate::Session#requests-beside-a-new-id); the client has its new cookie.
    #[error("the session got a new id while this request was running; send the request again")]
    Moved,
    /// The session is bound to a device, and the request does not prove to
    /// come from it. Unlike the others this is a 403, and also what a session fails with that nobody may see.
    #[error("the request does not prove to come from the device of its session")]
    Unproven,
    /// `update` lost too many races in a row.
    #[error("the session is being changed by too many requests at once; try again")]
    Contention,
    /// The response is on its way; a new session or a new id can no longer reach the client.
    #[error("the response was already sent: too late to change the session this way")]
    Committed,
}

impl Error {
    /// The HTTP status of the response to a request that failed this way: 503 if the store is unavailable (or needs a
    /// newer service, or more time), 409 for a conflict, 400 for invalid input, 401 and 403 for visitors who have to prove
    /// more, 307 for browsers that have to, 501 if the store lacks a capability, 500 for the rest.
    ///
    /// ```
    /// use session_store::{Conflict, Error};
    ///
    /// assert_eq!(Error::Conflict(Conflict::Fields).status(), 409);
    /// ```
    pub fn status(&self) -> u16 {
        match self {
            Self::Unavailable { .. } | Self::NewerFormat { .. } | Self::Unfinished { .. } => 503,
            Self::ProofRequired => 307,
            Self::Conflict(Conflict::Unproven) => 403,
            Self::Conflict(_) => 409,
            Self::InvalidInput { .. } => 400,
            Self::Reauthenticate => 401,
            Self::Unsupported { .. } => 501,
            _ => 500,
        }
    }

    /// Makes the error of a store that could not be reached: the operation had no effect.
    ///
    /// ```
    /// use session_store::Error;
    ///
    /// let error = Error::unavailable("the database is starting", None);
    /// assert!(error.status() == 503 && !error.outcome_unknown());
    /// let error = Error::in_doubt("no answer within 500 ms", None);
    /// assert!(error.status() == 503 && error.outcome_unknown());
    /// ```
    pub fn unavailable(reason: impl Into<String>, source: Option<BoxError>) -> Self {
        Self::Unavailable { outcome_unknown: false, reason: reason.into(), source }
    }

    /// Makes the error of a store that did not answer a write, which may have taken effect.
    ///
    /// ```
    /// use session_store::Error;
    ///
    /// // What a custom store makes of a lost connection, once the write was sent.
    /// let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    /// let error = Error::in_doubt("the connection broke", Some(lost.into()));
    /// assert!(error.to_string().contains("whether the write took effect is unknown"));
    /// ```
    pub fn in_doubt(reason: impl Into<String>, source: Option<BoxError>) -> Self {
        Self::Unavailable { outcome_unknown: true, reason: reason.into(), source }
    }

    /// Whether a failed write may have taken effect nevertheless.
    ///
    /// ```
    /// use session_store::Error;
    ///
    /// fn log_out(outcome: Result<(), Error>) -> &'static str {
    ///     match outcome {
    ///         Ok(()) => "You are signed out.",
    ///         Err(error) if error.outcome_unknown() => "You may be signed out. Please reload the page.",
    ///         Err(_) => "You are still signed in. Please try again.",
    ///     }
    /// }
    /// assert!(log_out(Err(Error::in_doubt("no answer", None))).starts_with("You may"));
    /// ```
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::Unavailable { outcome_unknown: true, .. })
    }

    /// Whether there is something under the key that is not read, whatever it is.
    #[cfg(any(feature = "json", feature = "memory"))]
    pub(crate) fn is_about_the_record(&self) -> bool {
        matches!(self, Self::NewerFormat { .. } | Self::Unreadable { .. }) || self.counts_as_absent()
    }

    /// Whether what is under the key counts as no session.
    #[cfg(any(feature = "json", feature = "memory"))]
    pub(crate) fn counts_as_absent(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Sealed { .. })
    }

    /// Whether the answer to a write was lost with the connection; one that only came late has no source.
    #[cfg(feature = "json")]
    pub(crate) fn is_lost_answer(&self) -> bool {
        matches!(self, Self::Unavailable { outcome_unknown: true, source: Some(_), .. })
    }
}

/// The same text as [`Display`](fmt::Display): it is printed by a `main` that returns an error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

//! What happens to sessions: each event counts, and has its line in the log.

use super::Telemetry;
use super::counters::Counts;
use super::operations::Operation;
use super::session_events::{EventKind, Subject};
use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::id::SessionKey;
use crate::record::Record;

impl Telemetry {
    pub(crate) fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// A session was created at `now`. Not a line for operators: whoever sends requests without cookies
    /// would fill the log.
    pub(crate) fn created(&self, key: &SessionKey, record: &Record, now: Timestamp) {
        self.count(|it| &it.created);
        self.created.add_one(now);
        let minutes = record.expires_at.saturating_since(now).as_secs().div_ceil(60);
        tracing::debug!(%key, "session created, expires in {minutes} minutes");
    }

    pub(crate) fn loaded(&self) {
        self.count(|it| &it.loaded);
    }

    pub(crate) fn updated(&self) {
        self.count(|it| &it.updated);
    }

    /// A write was stored under the id that its session got after the request had loaded it.
    pub(crate) fn followed(&self, key: &SessionKey) {
        self.count(|it| &it.updated);
        tracing::debug!(%key, "a write followed its session to its new id");
    }

    pub(crate) fn touched(&self) {
        self.count(|it| &it.touched);
    }

    pub(crate) fn rotated(&self) {
        self.count(|it| &it.rotated);
    }

    /// A request ended a session, of which it may have known a record.
    pub(crate) fn destroyed(&self, key: &SessionKey, known: Option<&Record>, was_there: bool) {
        tracing::debug!(%key, "session destroyed");
        let had_ended = known.is_none() && self.events.expired.has(key);
        if was_there && !had_ended {
            self.tell(EventKind::SignedOut, Subject::of(key.clone()).stored(known));
        }
    }

    /// A session was found to be over, and ended at `ended`.
    pub(crate) fn expired(&self, key: SessionKey, record: &Record, ended: Timestamp) {
        if self.events.expired.add(&key) {
            self.tell(EventKind::Expired, Subject::of(key).stored(record).ended(ended));
        }
    }

    /// A cookie of our name that no key signed.
    pub(crate) fn forged(&self) {
        self.count(|it| &it.forged);
        tracing::debug!("a session cookie carries no valid signature");
    }

    pub(crate) fn unknown(&self, key: &SessionKey) {
        self.count(|it| &it.unknown);
        tracing::debug!(%key, "a well-signed cookie names a session that is not stored");
    }

    /// A browser registered its key.
    #[cfg(feature = "device-bound")]
    pub(crate) fn device_bound(&self, key: SessionKey, record: &Record) {
        self.count(|it| &it.device_bound);
        tracing::debug!(%key, "a session is bound to its device");
        self.tell(EventKind::DeviceBound, Subject::of(key).stored(record));
    }

    #[cfg(feature = "device-bound")]
    pub(crate) fn device_refreshed(&self) {
        self.count(|it| &it.device_refreshed);
    }

    /// What a browser sent is no proof.
    #[cfg(feature = "device-bound")]
    pub(crate) fn device_refused(&self, key: SessionKey, record: &Record) {
        self.count(|it| &it.device_refused);
        tracing::debug!(%key, "a proof of a session's device was refused");
        self.tell(EventKind::DeviceRefused, Subject::of(key).stored(record));
    }

    /// A bound session was used by a request that does not prove to come from its device.
    #[cfg(feature = "device-bound")]
    pub(crate) fn device_lost(&self, key: SessionKey, record: &Record, skipped: bool) {
        self.count(|it| &it.device_lost);
        if skipped {
            self.count(|it| &it.device_skipped);
        }
        tracing::debug!(%key, skipped, "a bound session was used without a proof of its device");
        self.tell(EventKind::DeviceLost, Subject::of(key).stored(record));
    }

    /// What is stored counts as no session.
    pub(crate) fn absent(&self, error: &Error) {
        // What did not open was counted where that was tried.
        if let Error::Corrupt { key, reason } = error {
            self.corrupt(key, reason);
        }
    }

    /// What is stored is sealed, and does not open; or it is not, and has to be. Said once for each reason.
    pub(crate) fn unopened(&self, error: &Error) {
        let Error::Sealed { key, reason } = error else { return };
        self.count(|it| &it.unopened);
        if self.said.is_new(reason) {
            tracing::warn!(%key, reason, "a session is not opened, and is left as it is; this is said once");
        } else {
            tracing::debug!(%key, reason, "a session is not opened");
        }
    }

    /// What is stored is no session that this service can read.
    pub(crate) fn corrupt(&self, key: &SessionKey, reason: &str) {
        self.count(|it| &it.corrupt);
        tracing::warn!(%key, reason, "a session cannot be read, and is left as it is");
        self.tell(EventKind::Unreadable, Subject::of(key.clone()));
    }

    /// A change was dropped because its session had ended or moved.
    pub(crate) fn ended_meanwhile(&self) {
        self.count(|it| &it.ended_meanwhile);
    }

    /// A store or merge failed. Of these, a session counts that is shared and cannot be read, and a contradiction to
    /// another request: not a sign-in that found no room, nor one that came too late.
    pub(crate) fn failed(&self, error: &Error, subject: Subject<'_>) {
        let kind = match error {
            Error::Unreadable { .. } => {
                self.count(|it| &it.corrupt);
                EventKind::Unreadable
            }
            Error::Conflict(Conflict::Committed) => return,
            Error::Conflict(Conflict::TooManySessions) => EventKind::SignInRefused,
            Error::Conflict(_) => {
                self.count(|it| &it.conflicts);
                EventKind::Conflict
            }
            _ => return,
        };
        self.tell(kind, subject);
    }

    /// The line of an operation that ends sessions from outside, once it is over.
    pub(crate) fn tell_of_revoking(operation: Operation, ended: &Result<u64, Error>) {
        let name = operation.name();
        match ended {
            Ok(ended) => tracing::info!(operation = name, ended, "sessions ended"),
            Err(error) => tracing::warn!(operation = name, %error, "sessions could not all be ended"),
        }
    }
}

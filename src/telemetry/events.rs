//! What happens to sessions: each event counts, and has its line in the log.

use std::time::Duration;

use super::Telemetry;
use super::counters::Counts;
use super::operations::Operation;
use crate::clock::Timestamp;
use crate::error::{Conflict, Error};
use crate::id::SessionKey;
use crate::record::Record;

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A request ended it.
    Destroyed,
    /// A request came with it, too late.
    Expired,
}

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

    pub(crate) fn destroyed(&self, key: &SessionKey) {
        self.count(|it| &it.destroyed);
        tracing::debug!(%key, "session destroyed");
    }

    /// A request ended a session of which it knew this record.
    pub(crate) fn ended_after(&self, record: &Record, now: Timestamp) {
        self.lasted(End::Destroyed, now.saturating_since(record.created_at));
    }

    /// A session was found to be over, and ended at `ended`.
    pub(crate) fn expired(&self, record: &Record, ended: Timestamp) {
        self.count(|it| &it.expired);
        self.lasted(End::Expired, ended.saturating_since(record.created_at));
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
    pub(crate) fn device_bound(&self, key: &SessionKey) {
        self.count(|it| &it.device_bound);
        tracing::debug!(%key, "a session is bound to its device");
    }

    #[cfg(feature = "device-bound")]
    pub(crate) fn device_refreshed(&self) {
        self.count(|it| &it.device_refreshed);
    }

    /// What a browser sent is no proof.
    #[cfg(feature = "device-bound")]
    pub(crate) fn device_refused(&self, key: &SessionKey) {
        self.count(|it| &it.device_refused);
        tracing::debug!(%key, "a proof of a session's device was refused");
    }

    /// A bound session was used by a request that does not prove to come from its device.
    #[cfg(feature = "device-bound")]
    pub(crate) fn device_lost(&self, key: &SessionKey, skipped: bool) {
        self.count(|it| &it.device_lost);
        if skipped {
            self.count(|it| &it.device_skipped);
        }
        tracing::debug!(%key, skipped, "a bound session was used without a proof of its device");
    }

    /// What is stored is no session that this service can read.
    pub(crate) fn corrupt(&self, key: &SessionKey, reason: &str) {
        self.count(|it| &it.corrupt);
        tracing::warn!(%key, reason, "a session cannot be read, and is left as it is");
    }

    /// A change was dropped because its session had ended or moved.
    pub(crate) fn ended_meanwhile(&self) {
        self.count(|it| &it.ended_meanwhile);
    }

    /// A store or merge failed. Of these, a session counts that is shared and cannot be read, and a contradiction to
    /// another request: not a sign-in that found no room, nor one that came too late.
    pub(crate) fn failed(&self, error: &Error) {
        use Conflict::{Committed, TooManySessions};
        if matches!(error, Error::Unreadable { .. }) {
            self.count(|it| &it.corrupt);
        }
        if matches!(error, Error::Conflict(conflict) if !matches!(conflict, Committed | TooManySessions)) {
            self.count(|it| &it.conflicts);
        }
    }

    /// So many sessions were ended from outside their own requests.
    pub(crate) fn revoked(&self, sessions: u64) {
        self.count_many(sessions, |it| &it.revoked);
    }

    /// The line of an operation that ends sessions from outside, once it is over.
    pub(crate) fn tell_of_revoking(operation: Operation, ended: &Result<u64, Error>) {
        let name = operation.name();
        match ended {
            Ok(ended) => tracing::info!(operation = name, ended, "sessions ended"),
            Err(error) => tracing::warn!(operation = name, %error, "sessions could not all be ended"),
        }
    }

    fn lasted(&self, end: End, lasted: Duration) {
        self.durations.add(lasted);
        #[cfg(feature = "metrics")]
        self.series.end(end, lasted);
        #[cfg(not(feature = "metrics"))]
        let _ = end;
    }
}

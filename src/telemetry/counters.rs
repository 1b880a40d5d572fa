//! What happened so far, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::Telemetry;
use crate::shards::Shards;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of what happened to a manager's sessions since it was built; from
        /// [`SessionManager::counts`](crate::SessionManager::counts), which has an example.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// What is counted, by its place in [`EVENTS`].
        #[derive(Clone, Copy)]
        #[expect(non_camel_case_types, reason = "they are the names of fields")]
        enum Event { $($name,)* }

        /// The names of what is counted.
        #[cfg(feature = "metrics")]
        pub(super) const EVENTS: &[&str] = &[$(stringify!($name),)*];

        /// The same, for documentation.
        #[cfg(feature = "metrics")]
        macro_rules! event_names {
            () => { concat!($("`", stringify!($name), "` "),*) };
        }
        #[cfg(feature = "metrics")]
        pub(super) use event_names;

        /// The counters behind [`Counts`].
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter<{ Event::$name as usize }>,)*
        }

        impl Shards<Counters> {
            pub(super) fn read(&self) -> Counts {
                Counts { $($name: self.all().map(|shard| shard.$name.0.load(Ordering::Relaxed)).sum(),)* }
            }
        }
    };
}

counters! {
    /// Sessions created.
    created,
    /// Sessions loaded from the store.
    loaded,
    /// Sessions whose data was stored again.
    updated,
    /// Sessions whose expiry was moved without storing their data.
    touched,
    /// Sessions that were given a new id.
    rotated,
    /// Sign-ins.
    signed_in,
    /// Sign-ins from a browser that was here before: with a cookie of a session that is over, that somebody was signed in
    /// with, or that began more than 30 minutes earlier.
    returning_devices,
    /// All other sign-ins.
    new_devices,
    /// Times that somebody who was signed in authenticated again.
    confirmed,
    /// Sign-ins refused because their owner had as many sessions as are allowed.
    sign_in_refused,
    /// Sessions ended by a request.
    destroyed,
    /// Sessions that a sign-in in the same browser replaced.
    replaced,
    /// Sessions that were revoked: one by one, with others of their owner, or with all of the store. Each is counted by
    /// the instance that deleted it.
    revoked,
    /// Sessions that ended because a sign-in of their owner was one too many.
    evicted,
    /// Session cookies that no key of the ring signed.
    forged,
    /// Well-signed ids that the store did not hold.
    unknown,
    /// Requests that came with the id from before a sign-in or a renewal.
    old_id_used,
    /// Sessions that had expired when a request came with them.
    expired,
    /// Records that could not be read; their sessions counted as absent or, if shared with another service, failed.
    corrupt,
    /// Sessions whose data is sealed and did not open, or is not sealed where that is required; they counted as absent.
    unopened,
    /// Changes refused because they contradicted another request's.
    conflicts,
    /// Changes dropped because their session had ended or moved meanwhile.
    ended_meanwhile,
    /// Sessions that a browser bound to its device.
    device_bound,
    /// Proofs by which browsers showed that they are the device of their session.
    device_refreshed,
    /// Requests of bound sessions without a proof, whose browser said that it left it out.
    device_skipped,
    /// Proofs refused: forged, answered before, late, or of another session or key.
    device_refused,
    /// Requests of bound sessions without a proof.
    device_lost,
    /// Events that a listener did not hear of, because a thousand were waiting.
    events_dropped,
    /// Entries of histories that were not recorded: the store refused them, or was away for too long.
    history_lost,
}

/// Counts up, without ordering anything else. `EVENT` is what it counts.
#[derive(Debug, Default)]
pub(super) struct Counter<const EVENT: usize>(AtomicU64);

impl<const EVENT: usize> Counter<EVENT> {
    fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
}

impl Telemetry {
    /// Counts one more.
    pub(super) fn count<const EVENT: usize>(&self, counter: fn(&Counters) -> &Counter<EVENT>) {
        self.count_many(1, counter);
    }

    pub(super) fn count_many<const EVENT: usize>(
        &self,
        count: u64,
        counter: fn(&Counters) -> &Counter<EVENT>,
    ) {
        counter(self.counters.mine()).add(count);
        #[cfg(feature = "metrics")]
        self.series.count(EVENT, count);
    }
}

//! How much sessions are used: sign-ins and ends by the hour, how long sessions last, how many an owner has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use super::Telemetry;
use super::histogram::Tally;
use super::rate::LastDay;
use super::session_events::{EventKind, Subject};
use super::stats::DURATION_BUCKETS;
use crate::clock::Timestamp;

/// Upper bounds of the buckets for the sessions of an owner.
pub(crate) static OWNER_BUCKETS: [f64; 9] = [1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0];

/// An hour of a manager's sessions; part of [`Stats`](crate::Stats), which has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Hour {
    /// When it began, in seconds since the Unix epoch.
    pub since_unix_seconds: u64,
    /// Sign-ins.
    pub signed_in: u64,
    /// Sessions that a request ended.
    pub destroyed: u64,
    /// Sessions that a sign-in in the same browser replaced.
    pub replaced: u64,
    /// Sessions that were revoked.
    pub revoked: u64,
    /// Sessions that a sign-in elsewhere evicted.
    pub evicted: u64,
    /// Sessions that had expired when a request came with them.
    pub expired: u64,
}

/// The sign-ins after which their owner had about as many sessions; part of [`Stats`](crate::Stats), which has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SessionsPerOwner {
    /// So many sessions, or fewer, but more than in the bucket before; `None` in the last one, for any number.
    pub up_to: Option<u64>,
    /// The number of sign-ins.
    pub sign_ins: u64,
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Destroyed,
    Replaced,
    Revoked,
    Evicted,
    Expired,
}

impl End {
    pub(super) const ALL: [Self; 5] =
        [Self::Destroyed, Self::Replaced, Self::Revoked, Self::Evicted, Self::Expired];

    fn of(kind: EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::SignedOut => Self::Destroyed,
            EventKind::Replaced => Self::Replaced,
            EventKind::Revoked { .. } => Self::Revoked,
            EventKind::Evicted => Self::Evicted,
            EventKind::Expired => Self::Expired,
            _ => return None,
        })
    }

    #[cfg(feature = "metrics")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Destroyed => "destroyed",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
        }
    }
}

/// What is behind the parts of [`Stats`](crate::Stats) that are not simply counted.
#[derive(Debug)]
pub(super) struct Analytics {
    sign_ins: LastDay,
    ends: [LastDay; End::ALL.len()],
    durations: Tally,
    /// By the number of their owner's sessions, as in [`OWNER_BUCKETS`].
    owners: [AtomicU64; OWNER_BUCKETS.len() + 1],
}

impl Default for Analytics {
    fn default() -> Self {
        Self {
            sign_ins: LastDay::default(),
            ends: std::array::from_fn(|_| LastDay::default()),
            durations: Tally::new(&DURATION_BUCKETS),
            owners: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Analytics {
    pub(super) fn durations(&self) -> &Tally {
        &self.durations
    }

    /// The last 24 hours at `now`, the present one last.
    pub(super) fn hours(&self, now: Timestamp) -> Vec<Hour> {
        let ends = |end: End| self.ends[end as usize].counts(now);
        let [destroyed, replaced, revoked, evicted, expired] = End::ALL.map(ends);
        let signed_in = self.sign_ins.counts(now);
        let hours = LastDay::slots(now).enumerate().map(|(place, since_unix_seconds)| Hour {
            since_unix_seconds,
            signed_in: signed_in[place],
            destroyed: destroyed[place],
            replaced: replaced[place],
            revoked: revoked[place],
            evicted: evicted[place],
            expired: expired[place],
        });
        hours.collect()
    }

    pub(super) fn owners(&self) -> Vec<SessionsPerOwner> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "they are small whole numbers"
        )]
        let bounds = OWNER_BUCKETS.iter().map(|bound| Some(*bound as u64)).chain([None]);
        let counts = self.owners.iter().map(|count| count.load(Ordering::Relaxed));
        bounds.zip(counts).map(|(up_to, sign_ins)| SessionsPerOwner { up_to, sign_ins }).collect()
    }
}

impl Telemetry {
    /// Counts what is told at `at`.
    pub(super) fn count_event(&self, kind: EventKind, subject: &Subject<'_>, at: Timestamp) {
        match kind {
            EventKind::SignedIn => {
                self.count(|it| &it.signed_in);
                self.analytics.sign_ins.add_one(at);
                match subject.returning {
                    Some(true) => self.count(|it| &it.returning_devices),
                    _ => self.count(|it| &it.new_devices),
                }
            }
            EventKind::Confirmed => self.count(|it| &it.confirmed),
            EventKind::SignInRefused => self.count(|it| &it.sign_in_refused),
            EventKind::OldIdUsed => self.count(|it| &it.old_id_used),
            _ => {}
        }
        if let Some(end) = End::of(kind) {
            let ended_at = subject.ended.unwrap_or(at);
            self.count_end(end, subject.began.map(|began| ended_at.saturating_since(began)), at);
        }
    }

    fn count_end(&self, end: End, lasted: Option<Duration>, at: Timestamp) {
        match end {
            End::Destroyed => self.count(|it| &it.destroyed),
            End::Replaced => self.count(|it| &it.replaced),
            End::Revoked => self.count(|it| &it.revoked),
            End::Evicted => self.count(|it| &it.evicted),
            End::Expired => self.count(|it| &it.expired),
        }
        self.analytics.ends[end as usize].add_one(at);
        if let Some(lasted) = lasted {
            self.analytics.durations.add(lasted);
            #[cfg(feature = "metrics")]
            self.series.end(end, lasted);
        }
    }

    /// An owner has so many sessions, after a sign-in.
    pub(crate) fn owner_has(&self, sessions: u64) {
        let sessions = super::histogram::as_float(sessions);
        let bucket = OWNER_BUCKETS.partition_point(|bound| *bound < sessions);
        self.analytics.owners[bucket].fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        self.series.owner_has(sessions);
    }
}

//! What is counted, timed and told of a manager's sessions.
//!
//! What is counted is declared in [`counters`], what is timed in [`operations`], and what goes to the
//! facade of metrics in [`metrics`], each in one table. [`outcome`] names how an operation came out, and
//! [`events`] has the lines of the log. What an application listens to, and what is audited, is in [`session_events`].

pub(crate) mod analytics;
pub(crate) mod counters;
pub(crate) mod event_queue;
mod events;
pub(crate) mod histogram;
#[cfg(feature = "metrics")]
pub mod metrics;
pub(crate) mod operations;
pub(crate) mod outcome;
mod rate;
pub(crate) mod session_events;
pub(crate) mod stats;
mod told_lately;

#[cfg(feature = "metrics")]
use std::sync::Once;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;

use self::analytics::Analytics;
use self::counters::Counters;
use self::operations::{Latencies, Operation};
use self::rate::LastMinute;
use self::session_events::EventSinks;
use crate::error::Error;
use crate::shards::Shards;
use crate::store::status::StoreStatus;

/// What one manager's sessions have gone through.
#[derive(Debug)]
pub(crate) struct Telemetry {
    counters: Shards<Counters>,
    latencies: Latencies,
    analytics: Analytics,
    created: LastMinute,
    /// Why sessions were not opened, as far as the log has it.
    said: Said,
    /// The number of sessions that the log gave last.
    logged: AtomicU64,
    events: EventSinks,
    #[cfg(feature = "metrics")]
    described: Once,
    #[cfg(feature = "metrics")]
    series: metrics::Series,
}

/// Reasons that the log has, so that each is said once.
#[derive(Debug, Default)]
struct Said(Mutex<Vec<&'static str>>);

impl Said {
    fn is_new(&self, reason: &'static str) -> bool {
        let mut said = self.0.lock();
        let is_new = !said.contains(&reason);
        if is_new {
            said.push(reason);
        }
        is_new
    }
}

impl Telemetry {
    pub(crate) fn new(store: &StoreStatus, events: EventSinks) -> Self {
        Self {
            counters: Shards::default(),
            latencies: Latencies::new(store),
            analytics: Analytics::default(),
            created: LastMinute::default(),
            said: Said::default(),
            logged: AtomicU64::new(u64::MAX),
            events,
            #[cfg(feature = "metrics")]
            described: Once::new(),
            #[cfg(feature = "metrics")]
            series: metrics::Series::default(),
        }
    }

    /// Tells the metrics under a label of the application's.
    #[cfg(feature = "metrics")]
    pub(crate) fn with_series(self, series: metrics::Series) -> Self {
        Self { series, ..self }
    }

    pub(crate) fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// Takes note of how long an operation took.
    pub(crate) fn time(&self, operation: Operation, error: Option<&Error>, took: Duration) {
        self.latencies.add(operation, took);
        #[cfg(feature = "metrics")]
        self.series.time(operation, error, took);
        #[cfg(not(feature = "metrics"))]
        let _ = error;
    }
}

//! What is counted, timed and told of a manager's sessions.
//!
//! What is counted is declared in [`counters`], what is timed in [`operations`], and what goes to the
//! facade of metrics in [`metrics`], each in one table. [`outcome`] names how an operation came out, and
//! [`events`] has the lines of the log.

pub(crate) mod counters;
mod events;
pub(crate) mod histogram;
#[cfg(feature = "metrics")]
pub mod metrics;
pub(crate) mod operations;
pub(crate) mod outcome;
mod rate;
pub(crate) mod stats;

#[cfg(feature = "metrics")]
use std::sync::Once;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use self::counters::Counters;
use self::histogram::Tally;
use self::operations::{Latencies, Operation};
use self::rate::LastMinute;
use self::stats::DURATION_BUCKETS;
use crate::error::Error;
use crate::shards::Shards;
use crate::store::status::StoreStatus;

/// What one manager's sessions have gone through.
#[derive(Debug)]
pub(crate) struct Telemetry {
    counters: Shards<Counters>,
    latencies: Latencies,
    durations: Tally,
    created: LastMinute,
    /// The number of sessions that the log gave last.
    logged: AtomicU64,
    #[cfg(feature = "metrics")]
    described: Once,
    #[cfg(feature = "metrics")]
    series: metrics::Series,
}

impl Telemetry {
    pub(crate) fn new(store: &StoreStatus) -> Self {
        Self {
            counters: Shards::default(),
            latencies: Latencies::new(store),
            durations: Tally::new(&DURATION_BUCKETS),
            created: LastMinute::default(),
            logged: AtomicU64::new(u64::MAX),
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

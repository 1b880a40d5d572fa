//! What goes to the [`metrics`](https://docs.rs/metrics) facade, and so to Prometheus, `StatsD` or
//! whatever recorder the application installs.
//!
//! | name | type | labels | what |
//! |---|---|---|---|
//! | `session_store_events_total` | counter | `event`: `created`, `loaded`, `updated`, `touched`, `rotated`, `destroyed`, `revoked`, `forged`, `unknown`, `expired`, `corrupt`, `conflicts`, `ended_meanwhile` | what sessions went through: the fields of [`Counts`](crate::Counts) |
//! | `session_store_operation_duration_seconds` | histogram | `operation`: `load`, `create`, `update`, `touch`, `rotate`, `delete`, `revoke`, `revoke_all` (`revoke_others` too), `clear`; `outcome`: `ok`, `unavailable`, `refused`, `unreadable`, `failed` | how long the store took; of the loads from a `MemoryStore` one in 64 |
//! | `session_store_session_duration_seconds` | histogram | `end`: `destroyed`, `expired` | how long sessions lasted whose end a request saw; as [`Stats::session_durations`](crate::Stats::session_durations) |
//! | `session_store_connected` | gauge | `store`, `topology` | 1: sessions can be read and written; 0: they can't |
//! | `session_store_fallback_open` | gauge | | 1: new sessions go to memory, because the primary store is away; else 0 |
//! | `session_store_reconnects_total` | counter | | lost connections that were made again |
//! | `session_store_sessions` | gauge | | about how many sessions there are |
//! | `session_store_sessions_error` | gauge | | how far off that may be, in 95 of 100 cases |
//! | `session_store_memory_used_bytes` | gauge | | bytes in use, of all servers together, by whatever is kept there |
//! | `session_store_memory_limit_bytes` | gauge | | the most bytes that they may use; infinity without a limit |
//! | `session_store_session_size_bytes` | gauge | | about how many bytes a session takes |
//!
//! The first three are told as they happen. The rest is told by
//! [`SessionManager::stats`](crate::SessionManager::stats), which also describes all of them: call it
//! before each scrape, as `examples/metrics.rs` does. What is not known is `NaN`.
//!
//! No label holds anything of a session or a visitor, so there are 13 counters of events and at most 32
//! histograms, whatever happens. Several managers of one process add up in the first three; the gauges
//! are those of the one that was asked last.
//!
//! The Prometheus exporter makes summaries of histograms, which can't be added up over instances, unless
//! it is told their buckets:
//!
//! ```
//! use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
//!
//! let mut builder = PrometheusBuilder::new();
//! for (name, buckets) in session_store::metrics::BUCKETS {
//!     builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)?;
//! }
//! let handle = builder.install_recorder()?;
//! # assert_eq!(handle.render(), "");
//! # Ok::<(), BuildError>(())
//! ```

use std::sync::LazyLock;
use std::time::Duration;

use ::metrics::{
    Key, Label, Level, Metadata, Unit, describe_counter, describe_gauge, describe_histogram, with_recorder,
};

use crate::counters::EVENTS;
use crate::error::Error;
use crate::histogram::as_float;
use crate::manager::observed::{End, Operation, fault};
use crate::stats::{DURATION_BUCKETS, LATENCY_BUCKETS, Stats};

/// The histograms, and the upper bounds of their buckets in seconds: those of [`Stats`].
pub static BUCKETS: [(&str, &[f64]); 2] =
    [(OPERATION_DURATION, &LATENCY_BUCKETS), (SESSION_DURATION, &DURATION_BUCKETS)];

const EVENTS_TOTAL: &str = "session_store_events_total";
const OPERATION_DURATION: &str = "session_store_operation_duration_seconds";
const SESSION_DURATION: &str = "session_store_session_duration_seconds";
const CONNECTED: &str = "session_store_connected";
const FALLBACK_OPEN: &str = "session_store_fallback_open";
const RECONNECTS: &str = "session_store_reconnects_total";
const SESSIONS: &str = "session_store_sessions";
const SESSIONS_ERROR: &str = "session_store_sessions_error";
const MEMORY_USED: &str = "session_store_memory_used_bytes";
const MEMORY_LIMIT: &str = "session_store_memory_limit_bytes";
const SESSION_SIZE: &str = "session_store_session_size_bytes";

static METADATA: Metadata<'static> = Metadata::new("session_store", Level::INFO, Some(module_path!()));
const OUTCOMES: [&str; 5] = ["ok", "unavailable", "refused", "unreadable", "failed"];

/// Made once: a key of literals would do without, but its labels could not be taken from a list.
static EVENT_KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    EVENTS.iter().map(|event| Key::from_parts(EVENTS_TOTAL, vec![Label::new("event", *event)])).collect()
});

/// By operation, and for each by outcome.
static OPERATION_KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let key = |operation: Operation, outcome: &'static str| {
        let labels = vec![Label::new("operation", operation.name()), Label::new("outcome", outcome)];
        Key::from_parts(OPERATION_DURATION, labels)
    };
    Operation::ALL.iter().flat_map(|operation| OUTCOMES.map(|outcome| key(*operation, outcome))).collect()
});

static DESTROYED: LazyLock<Key> = LazyLock::new(|| duration_key("destroyed"));
static EXPIRED: LazyLock<Key> = LazyLock::new(|| duration_key("expired"));

fn duration_key(end: &'static str) -> Key {
    Key::from_parts(SESSION_DURATION, vec![Label::new("end", end)])
}

/// Counts one more of the event that has this place in [`EVENTS`].
pub(crate) fn count(event: usize, times: u64) {
    with_recorder(|recorder| recorder.register_counter(&EVENT_KEYS[event], &METADATA).increment(times));
}

/// Takes note of how long an operation of the store took.
pub(crate) fn time(operation: Operation, error: Option<&Error>, took: Duration) {
    let outcome = error.map_or("ok", fault);
    let outcome = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(OUTCOMES.len() - 1);
    let key = &OPERATION_KEYS[operation as usize * OUTCOMES.len() + outcome];
    with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(took));
}

/// Takes note of how long a session lasted.
pub(crate) fn end(end: End, lasted: Duration) {
    let key = match end {
        End::Destroyed => &*DESTROYED,
        End::Expired => &*EXPIRED,
    };
    with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(lasted));
}

/// Sets the gauges.
pub(crate) fn show(stats: &Stats) {
    let mut labels = vec![Label::new("store", stats.store)];
    labels.extend(stats.topology.map(|topology| Label::new("topology", topology)));
    set(&Key::from_parts(CONNECTED, labels), Some(f64::from(u8::from(stats.connected))));
    let whole = |number: Option<u64>| number.map(as_float);
    let fallback_open = f64::from(u8::from(stats.redis_stats.using_fallback));
    // Of a store whose use is known, a limit that is not is none.
    let limit = stats.memory_limit_bytes.or(stats.memory_used_bytes.map(|_| u64::MAX));
    let limit = limit.map(|limit| if limit == u64::MAX { f64::INFINITY } else { as_float(limit) });
    for (name, value) in [
        (FALLBACK_OPEN, Some(fallback_open)),
        (SESSIONS, whole(stats.total_sessions)),
        (SESSIONS_ERROR, whole(stats.total_sessions_error)),
        (MEMORY_USED, whole(stats.memory_used_bytes)),
        (MEMORY_LIMIT, limit),
        (SESSION_SIZE, stats.bytes_per_session),
    ] {
        set(&Key::from_static_name(name), value);
    }
    let reconnects = Key::from_static_name(RECONNECTS);
    with_recorder(|recorder| {
        recorder.register_counter(&reconnects, &METADATA).absolute(stats.redis_stats.reconnects);
    });
}

fn set(key: &Key, value: Option<f64>) {
    with_recorder(|recorder| recorder.register_gauge(key, &METADATA).set(value.unwrap_or(f64::NAN)));
}

/// Says what each metric means, and of each event that it has not happened yet: a counter that is first
/// seen at 1 has no rate.
pub(crate) fn describe() {
    for key in &*EVENT_KEYS {
        with_recorder(|recorder| recorder.register_counter(key, &METADATA).increment(0));
    }
    describe_counter!(EVENTS_TOTAL, Unit::Count, "What sessions went through.");
    describe_histogram!(OPERATION_DURATION, Unit::Seconds, "How long the session store took.");
    describe_histogram!(
        SESSION_DURATION,
        Unit::Seconds,
        "How long sessions lasted that a request ended, or that were over when a request came with them."
    );
    describe_gauge!(CONNECTED, Unit::Count, "Whether sessions can be read and written.");
    describe_gauge!(FALLBACK_OPEN, Unit::Count, "Whether new sessions go to memory, the store being away.");
    describe_counter!(RECONNECTS, Unit::Count, "Lost connections that were made again.");
    describe_gauge!(SESSIONS, Unit::Count, "About how many sessions there are.");
    describe_gauge!(SESSIONS_ERROR, Unit::Count, "How far off that may be, in 95 of 100 cases.");
    describe_gauge!(MEMORY_USED, Unit::Bytes, "Bytes in use by whatever the store's servers keep.");
    describe_gauge!(MEMORY_LIMIT, Unit::Bytes, "The most bytes that the store's servers may use.");
    describe_gauge!(SESSION_SIZE, Unit::Bytes, "About how many bytes a session takes.");
}

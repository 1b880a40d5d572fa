//! The metrics recorded through the [`metrics`](https://docs.rs/metrics) facade, and so in Prometheus, `StatsD` or
//! any other recorder that the application installs.
//!
//! [`NAMES`] lists them.
//!
//! The first three are recorded as they happen. The rest is set by
//! [`SessionManager::stats`](crate::SessionManager::stats), which also describes all of them: call it
//! before each scrape, as `examples/metrics.rs` does. Unknown values are `NaN`.
//!
//! No label refers to a session or a visitor, so there are at most 27 counters of events and 91
//! histograms. Several managers of one process add up in the first three; the gauges
//! are those of the one that was asked last. To tell managers apart, give each a
//! [label](crate::SessionManagerBuilder::metrics_label) of its own: then each has so many.
//!
//! The Prometheus exporter turns histograms into summaries, which can't be added up over instances, unless
//! it is given their buckets:
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

mod series;

use ::metrics::{
    Key, Label, Level, Metadata, Unit, describe_counter, describe_gauge, describe_histogram, with_recorder,
};

use super::analytics::OWNER_BUCKETS;
use super::counters::event_names;
use super::histogram::as_float;
use super::operations::operation_names;
use super::stats::{DURATION_BUCKETS, LATENCY_BUCKETS, Stats};

pub(crate) use self::series::Series;

/// The names of the histograms, with the upper bounds of their buckets, which are those of [`Stats`]: durations in seconds. The
/// [module](self) has an example.
pub static BUCKETS: [(&str, &[f64]); 3] = [
    (OPERATION_DURATION, &LATENCY_BUCKETS),
    (SESSION_DURATION, &DURATION_BUCKETS),
    (SESSIONS_PER_OWNER, &OWNER_BUCKETS),
];

macro_rules! metrics {
    ($($kind:ident $constant:ident $name:literal [$($labels:tt)*] $unit:ident $what:literal,)*) => {
        $(const $constant: &str = $name;)*

        /// The names of all metrics: for a test of a dashboard or of alerts.
        ///
        /// ```
        /// let dashboard = "sum(rate(session_store_events_total[5m]))";
        /// assert!(session_store::metrics::NAMES.iter().any(|name| dashboard.contains(name)));
        /// ```
        ///
        #[doc = concat!(
            "| name | type | labels | what |\n|---|---|---|---|\n",
            $("| `", $name, "` | ", stringify!($kind), " | ", $($labels)*, " | ", $what, " |\n",)*
        )]
        pub static NAMES: &[&str] = &[$($constant,)*];

        fn describe_each() {
            $(metrics!(@describe $kind $constant $unit $what);)*
        }
    };
    (@describe counter $constant:ident $unit:ident $what:literal) => {
        describe_counter!($constant, Unit::$unit, $what)
    };
    (@describe gauge $constant:ident $unit:ident $what:literal) => {
        describe_gauge!($constant, Unit::$unit, $what)
    };
    (@describe histogram $constant:ident $unit:ident $what:literal) => {
        describe_histogram!($constant, Unit::$unit, $what)
    };
}

metrics! {
    counter EVENTS_TOTAL "session_store_events_total" ["`event`: ", event_names!()]
        Count "Events in the lives of sessions: the fields of `Counts`.",
    histogram OPERATION_DURATION "session_store_operation_duration_seconds"
        [
            "`operation`: ", operation_names!(),
            "<br>`outcome`: `ok` `unavailable` `refused` `unreadable` `failed`"
        ]
        Seconds "Durations of the store's operations; of loads from a `MemoryStore`, one in 64 is timed.",
    histogram SESSION_DURATION "session_store_session_duration_seconds" [
            "`end`: `destroyed` `replaced` `revoked` `evicted` `expired`"
        ]
        Seconds "Durations of sessions that ended, or that had expired when a request came with them.",
    histogram SESSIONS_PER_OWNER "session_store_sessions_per_owner" [""]
        Count "The number of sessions that an owner has after a sign-in.",
    gauge CONNECTED "session_store_connected" ["`store`, `topology`"]
        Count "1: sessions can be read and written; 0: they can't.",
    gauge FALLBACK_OPEN "session_store_fallback_open" [""]
        Count "1: new sessions go to memory, because the primary store is away; else 0.",
    counter RECONNECTS "session_store_reconnects_total" [""]
        Count "Lost connections that were made again.",
    gauge NEAR_CACHE_TRUSTED "session_store_near_cache_trusted" [""]
        Count "1: copies in the process are used; 0: they are not confirmed. `NaN` without a near cache.",
    gauge NEAR_CACHE_COPIES "session_store_near_cache_copies" [""]
        Count "The approximate number of copies.",
    gauge NEAR_CACHE_BYTES "session_store_near_cache_bytes" [""]
        Bytes "The bytes that they count as.",
    counter NEAR_CACHE_LOADS "session_store_near_cache_loads_total" ["`result`: `hit` `miss` `bypassed`"]
        Count "Loads answered by a copy, without a copy, and while copies could not be trusted.",
    counter NEAR_CACHE_CHANGES "session_store_near_cache_changes_total" ["`kind`: `invalidated` `emptied`"]
        Count "Copies dropped because of a change, and times that all were dropped.",
    gauge SESSIONS "session_store_sessions" [""]
        Count "The approximate number of sessions.",
    gauge SESSIONS_ERROR "session_store_sessions_error" [""]
        Count "The margin of error of that number, in 95 of 100 cases.",
    gauge MEMORY_USED "session_store_memory_used_bytes" [""]
        Bytes "Bytes in use on all servers together, by everything stored there.",
    gauge MEMORY_LIMIT "session_store_memory_limit_bytes" [""]
        Bytes "The limit of their memory in bytes; infinity without one.",
    gauge SESSION_SIZE "session_store_session_size_bytes" [""]
        Bytes "About how many bytes a session takes.",
}

static METADATA: Metadata<'static> = Metadata::new("session_store", Level::INFO, Some(module_path!()));

/// Sets the gauges.
pub(super) fn show(series: &Series, stats: &Stats) {
    let mut labels = vec![Label::new("store", stats.store)];
    labels.extend(stats.topology.map(|topology| Label::new("topology", topology.as_str())));
    set(&series.key(CONNECTED, labels), Some(f64::from(u8::from(stats.connected))));
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
        set(&series.key(name, Vec::new()), value);
    }
    absolute(&series.key(RECONNECTS, Vec::new()), stats.redis_stats.reconnects);
    show_near_cache(series, stats);
}

#[cfg(feature = "memory")]
fn show_near_cache(series: &Series, stats: &Stats) {
    let near_cache = stats.near_cache;
    for (name, value) in [
        (NEAR_CACHE_TRUSTED, near_cache.map(|it| f64::from(u8::from(it.trusted)))),
        (NEAR_CACHE_COPIES, near_cache.map(|it| as_float(it.copies))),
        (NEAR_CACHE_BYTES, near_cache.map(|it| as_float(it.bytes))),
    ] {
        set(&series.key(name, Vec::new()), value);
    }
    let counted = near_cache.unwrap_or_default();
    for (name, label, value, count) in [
        (NEAR_CACHE_LOADS, "result", "hit", counted.hits),
        (NEAR_CACHE_LOADS, "result", "miss", counted.misses),
        (NEAR_CACHE_LOADS, "result", "bypassed", counted.bypassed),
        (NEAR_CACHE_CHANGES, "kind", "invalidated", counted.invalidated),
        (NEAR_CACHE_CHANGES, "kind", "emptied", counted.emptied),
    ] {
        absolute(&series.key(name, vec![Label::new(label, value)]), count);
    }
}

#[cfg(not(feature = "memory"))]
fn show_near_cache(_: &Series, _: &Stats) {}

fn absolute(key: &Key, count: u64) {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA).absolute(count));
}

fn set(key: &Key, value: Option<f64>) {
    with_recorder(|recorder| recorder.register_gauge(key, &METADATA).set(value.unwrap_or(f64::NAN)));
}

/// Says what each metric means, and that nothing has happened yet.
pub(super) fn describe(series: &Series) {
    series.begin();
    describe_each();
}

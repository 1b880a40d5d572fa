//! [`Stats`]: how the sessions of a service are, at a glance.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::Telemetry;
use super::analytics::{Hour, SessionsPerOwner};
use super::counters::Counts;
use super::histogram::Histogram;
use super::operations::StoreLatencies;
use crate::clock::Timestamp;
#[cfg(doc)]
use crate::engine::SessionManager;
use crate::error::Error;
use crate::store::scan::Usage;
use crate::store::status::{StoreStatus, Topology};

/// Upper bounds, in seconds, of the buckets for operations of a store: from a read from memory to the
/// timeout of a Redis that is away.
pub(crate) static LATENCY_BUCKETS: [f64; 16] = [
    0.000_001, 0.000_01, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0,
];
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
/// Upper bounds, in seconds, of the buckets for the lives of sessions.
pub(crate) static DURATION_BUCKETS: [f64; 14] = [
    MINUTE,
    5.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    4.0 * HOUR,
    8.0 * HOUR,
    12.0 * HOUR,
    DAY,
    3.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    30.0 * DAY,
];

/// Statistics of a service's sessions and their store; from [`SessionManager::stats`].
///
/// They hold no id, owner, label or data, but are for operators only: they tell how busy a service
/// is, and an error of its store names the server.
///
/// ```
/// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// // The body of an endpoint for operators.
/// let body = serde_json::to_string(&manager.stats().await).expect("it has a JSON form");
/// assert!(body.starts_with(r#"{"success":true,"store":"memory""#));
/// # Ok(())
/// # }
/// ```
///
/// As JSON the fields are in camel case, and unknown values are `null`:
///
/// ```json
/// {
///   "success": true, "store": "redis", "topology": "standalone", "connected": true,
///   "totalSessions": 1204, "totalSessionsError": 31,
///   "redisStats": {
///     "connected": true, "usingFallback": false, "inMemoryKeys": 0,
///     "sinceUnixSeconds": 1767225600, "reconnects": 0, "lastError": null
///   },
///   "nearCache": {
///     "trusted": true, "copies": 118, "bytes": 107144,
///     "hits": 80120, "misses": 7914, "bypassed": 89, "invalidated": 6801, "emptied": 1
///   },
///   "memoryUsedBytes": 2412544, "memoryLimitBytes": 1073741824, "bytesPerSession": 412.5,
///   "counts": {
///     "created": 1310, "loaded": 88123, "updated": 5020, "touched": 1911, "rotated": 412,
///     "signedIn": 398, "returningDevices": 231, "newDevices": 167, "confirmed": 14, "signInRefused": 0,
///     "destroyed": 96, "replaced": 12, "revoked": 4, "evicted": 1, "forged": 2, "unknown": 11, "oldIdUsed": 1,
///     "expired": 7, "corrupt": 0, "conflicts": 1, "endedMeanwhile": 3, "deviceBound": 0, "deviceRefreshed": 0, "deviceSkipped": 0, "deviceRefused": 0, "deviceLost": 0,
///     "eventsDropped": 0, "historyLost": 0
///   },
///   "sessionsPerSecond": 0.35,
///   "last24Hours": [
///     {
///       "sinceUnixSeconds": 1767222000, "signedIn": 31, "destroyed": 9, "replaced": 1, "revoked": 0, "evicted": 0,
///       "expired": 2
///     },
///     …
///   ],
///   "sessionDurations": {
///     "count": 103, "sumSeconds": 190233.0, "p50Seconds": 720.0, "p90Seconds": 5400.0, "p99Seconds": 13000.0
///   },
///   "sessionsPerOwner": [{ "upTo": 1, "signIns": 302 }, { "upTo": 2, "signIns": 71 }, …, { "upTo": null, "signIns": 0 }],
///   "storeLatencies": {
///     "load": {
///       "count": 88143, "sumSeconds": 11.5, "p50Seconds": 0.00011, "p90Seconds": 0.0002, "p99Seconds": 0.0004
///     },
///     "create": …, "update": …, "touch": …, "rotate": …, "delete": …,
///     "revoke": …, "revokeAll": …, "revokeEveryone": …
///   }
/// }
/// ```
///
/// Counts and durations cover this manager since it was built; the store, its sessions and
/// its memory are shared by all instances.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Stats {
    /// Whether the store could be asked. If not, values that only the store knows are `None`.
    pub success: bool,
    /// The kind of store: `memory`, `redis`, or the name that a custom store gives itself. It is the
    /// primary's even while a `FallbackStore` keeps new sessions in memory.
    pub store: &'static str,
    /// The arrangement of its servers.
    pub topology: Option<Topology>,
    /// Whether sessions can be read and written.
    pub connected: bool,
    /// The number of sessions; `None` if the store can't tell, or can't be asked.
    pub total_sessions: Option<u64>,
    /// The margin of error of that number, to either side, in 95 of 100 cases; 0 for an exact count.
    pub total_sessions_error: Option<u64>,
    /// The state of the connection to Redis.
    pub redis_stats: RedisStats,
    /// The state of the copies in this process; `None` without a [`NearCache`](crate::NearCache).
    #[cfg(feature = "memory")]
    pub near_cache: Option<crate::NearCacheStatus>,
    /// Bytes in use on all servers together, by everything stored there.
    pub memory_used_bytes: Option<u64>,
    /// The limit of their memory in bytes; `None` also if there is none.
    pub memory_limit_bytes: Option<u64>,
    /// About how many bytes a session takes; see [`Usage`](crate::Usage) for the overhead.
    pub bytes_per_session: Option<f64>,
    /// Counts of what happened to the sessions of this manager.
    pub counts: Counts,
    /// Sessions created per second, over the last minute.
    pub sessions_per_second: f64,
    /// Sign-ins and ends in each of the last 24 hours, from the earliest to the present one.
    pub last_24_hours: Vec<Hour>,
    /// Durations of sessions that ended, or that had expired when a request came with them, since their last sign-in,
    /// if there was one. A session whose visitor never comes back is removed by the store, and not included. Buckets
    /// from a minute to 30 days.
    pub session_durations: Histogram,
    /// How many sessions owners had after they had signed in, as their index has it: it counts sign-ins that are on
    /// their way. Empty buckets for a store that does not tell.
    pub sessions_per_owner: Vec<SessionsPerOwner>,
    /// Durations of the store's operations.
    pub store_latencies: StoreLatencies,
}

/// The state of the connection to Redis, under the names of the services that this crate replaced; part of
/// [`Stats`], which has an example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RedisStats {
    /// Whether there is one; `false` if sessions are not kept in Redis.
    pub connected: bool,
    /// Whether new sessions go to memory because Redis is away.
    pub using_fallback: bool,
    /// The number of sessions in memory because Redis is, or was, away, and that have not moved to Redis yet. 0
    /// without a `FallbackStore`, even if all sessions are in memory by configuration.
    pub in_memory_keys: u64,
    /// Since when `connected` is as it is, in seconds since the Unix epoch.
    pub since_unix_seconds: Option<u64>,
    /// Times that a lost connection was made again.
    pub reconnects: u64,
    /// Why a connection was last lost, or could not be made; with the
    /// address, and without secrets.
    pub last_error: Option<String>,
}

impl Telemetry {
    /// Puts together what is known at `now`, and tells it to the log and to the metrics.
    pub(crate) fn report(
        &self,
        status: StoreStatus,
        usage: Result<Option<Usage>, Error>,
        now: Timestamp,
    ) -> Stats {
        let (usage, fault) = match usage {
            Ok(usage) => (usage, None),
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = &fault {
            tracing::warn!(%error, "the stored sessions cannot be counted");
        }
        let connected = status.connected && !matches!(fault, Some(Error::Unavailable { .. }));
        let number = |count: fn(&Usage) -> f64| usage.as_ref().map(|usage| whole(count(usage)));
        let stats = Stats {
            success: connected && fault.is_none(),
            store: status.kind,
            topology: status.topology,
            connected,
            total_sessions: number(|usage| usage.sessions.round()),
            total_sessions_error: number(|usage| usage.error.ceil()),
            redis_stats: RedisStats {
                connected: connected && status.kind == "redis",
                using_fallback: status.uses_fallback(),
                #[cfg(feature = "memory")]
                in_memory_keys: status.fallback.map_or(0, |fallback| fallback.in_memory),
                #[cfg(not(feature = "memory"))]
                in_memory_keys: 0,
                since_unix_seconds: status.since.map(|since| since.as_millis() / 1000),
                reconnects: status.reconnects,
                last_error: status.last_error.or_else(|| fault.map(|error| error.to_string())),
            },
            #[cfg(feature = "memory")]
            near_cache: status.near_cache,
            memory_used_bytes: usage.as_ref().and_then(|usage| usage.used_bytes),
            memory_limit_bytes: usage.as_ref().and_then(|usage| usage.limit_bytes),
            bytes_per_session: usage.as_ref().and_then(|usage| usage.bytes_per_session),
            counts: self.counts(),
            sessions_per_second: self.created.per_second(now),
            last_24_hours: self.analytics.hours(now),
            session_durations: self.analytics.durations().read(),
            sessions_per_owner: self.analytics.owners(),
            store_latencies: self.latencies.read(),
        };
        if let (Some(sessions), Some(error)) = (stats.total_sessions, stats.total_sessions_error)
            && self.logged.swap(sessions, Ordering::Relaxed) != sessions
        {
            tracing::info!("{sessions} sessions in store (give or take {error})");
        }
        #[cfg(feature = "metrics")]
        {
            // By now the application has installed its recorder.
            self.described.call_once(|| super::metrics::describe(&self.series));
            super::metrics::show(&self.series, &stats);
        }
        stats
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it saturates, and none is negative"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

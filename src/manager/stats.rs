//! What a manager, and its store, tell of themselves.

use std::sync::atomic::Ordering;

use super::observed::Operation;
use super::{Inner, SessionManager};
use crate::error::Error;
use crate::session::SessionData;
use crate::stats::{RedisStats, Stats, StoreLatencies};
use crate::store::survey::Usage;

impl<T: SessionData> SessionManager<T> {
    /// How the sessions are, with an estimate of how many there are: a few commands to the store.
    ///
    /// It never fails. Of a store that can't be asked it tells what is known without: that it is not
    /// connected, and everything that this process counted.
    ///
    /// Says in the log how many sessions there are, if that is another number than the last time. With
    /// the feature `metrics` it also sets the gauges, so it belongs before each scrape.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let stats = manager.stats().await;
    /// assert_eq!((stats.store, stats.connected, stats.counts.created), ("memory", true, 0));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stats(&self) -> Stats {
        let usage = match self.0.store().survey() {
            Some(survey) => survey.usage().await.map(Some),
            None => Ok(None),
        };
        self.0.report(usage)
    }

    /// The same with the sessions counted one by one: this goes through the whole store, so it takes a
    /// while, and memory for the key of every session.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the store can't go through its sessions, and what it answers where
    /// it fails: a count that broke off is none.
    pub async fn stats_exact(&self) -> Result<Stats, Error> {
        let sessions = self.count().await?;
        let mut usage = self.usage().await?;
        usage.sessions = crate::histogram::as_float(sessions);
        usage.error = 0.0;
        Ok(self.0.report(Ok(Some(usage))))
    }
}

impl<T> Inner<T> {
    /// Puts together what is known, and tells it to the log and to the metrics.
    fn report(&self, usage: Result<Option<Usage>, Error>) -> Stats {
        let status = self.store().status();
        let (usage, fault) = match usage {
            Ok(usage) => (usage, None),
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = &fault {
            tracing::warn!(%error, "the sessions in store cannot be counted");
        }
        let connected = status.connected && !matches!(fault, Some(Error::Unavailable { .. }));
        let number = |count: fn(&Usage) -> f64| usage.as_ref().map(|usage| whole(count(usage)));
        let [load, create, update, touch, rotate, delete, revoke, revoke_all, clear] =
            Operation::ALL.map(|operation| self.observed.latencies[operation as usize].read());
        let stats = Stats {
            store: status.kind,
            topology: status.topology,
            connected,
            total_sessions: number(|usage| usage.sessions.round()),
            total_sessions_error: number(|usage| usage.error.ceil()),
            redis_stats: RedisStats {
                connected: connected && status.kind == "redis",
                using_fallback: status.using_fallback,
                since_unix_seconds: status.since.map(|since| since.as_millis() / 1000),
                reconnects: status.reconnects,
                last_error: status.last_error.or_else(|| fault.map(|error| error.to_string())),
            },
            memory_used_bytes: usage.as_ref().and_then(|usage| usage.used_bytes),
            memory_limit_bytes: usage.as_ref().and_then(|usage| usage.limit_bytes),
            bytes_per_session: usage.as_ref().and_then(|usage| usage.bytes_per_session),
            counts: self.counters.read(),
            sessions_per_second: self.observed.created.per_second(self.clock.now()),
            session_durations: self.observed.durations.read(),
            store_latencies: StoreLatencies {
                load,
                create,
                update,
                touch,
                rotate,
                delete,
                revoke,
                revoke_all,
                clear,
            },
        };
        if let (Some(sessions), Some(error)) = (stats.total_sessions, stats.total_sessions_error)
            && self.observed.logged.swap(sessions, Ordering::Relaxed) != sessions
        {
            tracing::info!("{sessions} sessions in store (give or take {error})");
        }
        #[cfg(feature = "metrics")]
        {
            // By now the application has installed its recorder.
            self.observed.described.call_once(crate::metrics::describe);
            crate::metrics::show(&stats);
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

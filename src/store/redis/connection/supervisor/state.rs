//! The state of a supervised connection.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{BACKOFF, SHORT_DELAY};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::store::background::Stay;
use crate::store::redis::connection::Connection;

pub(super) enum State {
    Up(Up),
    Down(Down),
}

#[derive(Clone)]
pub(super) struct Down {
    pub(super) reason: String,
    pub(super) since: Timestamp,
    /// Whether the server is known not to answer, so that nobody waits for it.
    pub(super) away: bool,
}

pub(super) struct Up {
    pub(super) connection: Connection,
    pub(super) since: Timestamp,
    opened: Instant,
    /// Operations without an answer since the last one with; [`UNPROVEN`] until the first one with.
    timeouts: AtomicU32,
    /// How long the attempt that made it had waited, from which the next one's delay grows.
    waited: Duration,
    /// Whether news of its end has come; see [`publish`](super::Shared::publish).
    pub(super) lost: Arc<AtomicBool>,
    /// Brings news of the end of the runtime that it is on.
    _stay: Stay,
}

/// In [`Up::timeouts`]: nothing was answered yet.
const UNPROVEN: u32 = 1 << 31;

impl State {
    /// Whether the present connection is that of this generation.
    pub(super) fn is_up_by(&self, generation: u64) -> bool {
        matches!(self, Self::Up(up) if up.generation() == generation)
    }
}

impl Down {
    pub(super) fn now(reason: &dyn fmt::Display, away: bool) -> Self {
        Self { reason: reason.to_string(), since: SystemClock.now(), away }
    }
}

impl Up {
    pub(super) fn new(connection: Connection, waited: Duration, lost: Arc<AtomicBool>, stay: Stay) -> Self {
        let (since, opened, timeouts) = (SystemClock.now(), Instant::now(), AtomicU32::new(UNPROVEN));
        Self { connection, since, opened, timeouts, waited, lost, _stay: stay }
    }

    /// Tells it from its successors: news of an old connection's end must not end a new one.
    pub(super) fn generation(&self) -> u64 {
        self.connection.generation
    }

    /// Whether this is the first answer. Writes only where that says something new, since all threads read it.
    pub(super) fn note_answer(&self) -> bool {
        let timeouts = self.timeouts.load(Ordering::Relaxed);
        if timeouts != 0 {
            self.timeouts.store(0, Ordering::Relaxed);
        }
        timeouts & UNPROVEN != 0
    }

    /// How many operations in a row have had no answer.
    pub(super) fn note_timeout(&self) -> u32 {
        (self.timeouts.fetch_add(1, Ordering::Relaxed) & !UNPROVEN) + 1
    }

    pub(super) fn has_served(&self) -> bool {
        self.timeouts.load(Ordering::Relaxed) & UNPROVEN == 0
    }

    /// A server that accepts connections and is of no use is not to be stormed.
    pub(super) fn next_delay(&self) -> Duration {
        match (self.opened.elapsed() < 4 * BACKOFF.longest, self.has_served()) {
            (false, _) => Duration::ZERO,
            (true, true) => SHORT_DELAY,
            (true, false) => BACKOFF.after(self.waited),
        }
    }
}

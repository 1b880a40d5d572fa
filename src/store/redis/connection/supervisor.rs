//! One connection that is replaced when it is of no use any more.

mod state;
mod waiting;

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use redis::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use self::state::{Down, State, Up};
use super::health::{Journal, Status};
use super::{Connection, Failure, Repeat};
use crate::store::background::{Background, Backoff, Job, Next, RuntimeHandle, Stay};

/// So many operations without an answer, one after the other, and the server counts as frozen.
const TIMEOUTS_IN_A_ROW: u32 = 3;
/// A server that answers again is found within a second.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_millis(800) };
/// Before a connection that served for a short time is made again: whoever closes it may do so in a loop.
const SHORT_DELAY: Duration = Duration::from_millis(10);
/// So many connections that were closed before they answered anything, one after the other, and the server
/// counts as away: a proxy without a server behind it closes whatever it accepts.
const CLOSED_IN_A_ROW: u32 = 5;

/// To be called, with the reason, when a connection has ended or leads to the wrong server.
pub(super) type OnLoss = Arc<dyn Fn(&dyn fmt::Display) + Send + Sync>;

/// A way to reach Redis. Displays as the address, without secrets.
#[async_trait]
pub(super) trait Connector: fmt::Display + Send + Sync + 'static {
    /// One attempt. The supervisor bounds its time and repeats it.
    async fn connect(&self, on_loss: OnLoss) -> Result<Connection, Failure>;
}

/// Has a connection, or is making one.
pub(super) struct Supervisor(Arc<Shared>);

struct Shared {
    connector: Arc<dyn Connector>,
    timeout: Duration,
    journal: Arc<Journal>,
    /// Reconnects. Its news include each new state.
    background: Background,
    state: ArcSwap<State>,
    generations: AtomicU64,
    /// The generation that failed last, plus one.
    failed: AtomicU64,
    was_connected: AtomicBool,
    /// Connections in a row that were closed before they answered anything.
    closed_early: AtomicU32,
    waiting: Semaphore,
}

impl Supervisor {
    /// Without a connection, and not yet making one. `timeout` bounds every operation and every
    /// attempt to connect.
    pub(super) fn new(
        connector: Arc<dyn Connector>,
        timeout: Duration,
        journal: Arc<Journal>,
        home: RuntimeHandle,
    ) -> Self {
        let down = State::Down(Down::now(&"no connection was made yet", false));
        Self(Arc::new(Shared {
            connector,
            timeout,
            journal,
            background: Background::new(home),
            state: ArcSwap::from_pointee(down),
            generations: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            was_connected: AtomicBool::new(false),
            closed_early: AtomicU32::new(0),
            waiting: Semaphore::new(waiting::MOST),
        }))
    }

    /// Connects, or fails within the timeout.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        // Whoever connects first is at home.
        self.0.background.home().runtime();
        let up = self.0.open(Duration::ZERO).await.map_err(|failure| failure.at(&self.0.connector))?;
        self.0.publish(up);
        Ok(())
    }

    /// Connects in the background, unless it is connected.
    pub(super) fn start(&self) {
        if !self.is_up() {
            self.0.reconnect(Duration::ZERO);
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(**self.0.state.load(), State::Up(_))
    }

    pub(super) fn status(&self) -> Status {
        match &**self.0.state.load() {
            State::Up(up) => Status { connected: true, since: up.since },
            State::Down(down) => Status { connected: false, since: down.since },
        }
    }

    /// Runs an operation of one or more commands on the present connection.
    ///
    /// Where there is none, it waits for the next one, unless the server is known to be away. If the
    /// connection breaks before the answer, `repeat` says whether it is run again. All of that is bounded by
    /// the timeout.
    pub(super) async fn run<F>(
        &self,
        repeat: Repeat<'_>,
        mut operation: impl FnMut(Connection) -> F,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let begun = Instant::now();
        let mut lost = None;
        if let State::Up(up) = &*self.0.state.load_full() {
            let result = {
                // Pinned here, since what is given to the timer is moved several times.
                let operation = pin!(operation(up.connection.clone()));
                self.0.run_on(up, begun, begun + self.0.timeout, operation).await
            };
            match result {
                Err(failure) if failure.is_broken() && !matches!(repeat, Repeat::Never) => {
                    lost = Some(failure);
                }
                result => return result,
            }
        }
        // In a box, since it is seldom needed and would make the future of every operation larger.
        Box::pin(self.0.persist(begun + self.0.timeout, lost, repeat, operation)).await
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("address", &format_args!("{}", self.0.connector))
            .field("timeout", &self.0.timeout)
            .field("connected", &self.is_up())
            .finish()
    }
}

impl Shared {
    async fn open(self: &Arc<Self>, waited: Duration) -> Result<Up, Failure> {
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let (shared, lost) = (Arc::downgrade(self), Arc::new(AtomicBool::new(false)));
        let is_lost = Arc::clone(&lost);
        let on_loss = Arc::new(move |reason: &dyn fmt::Display| {
            is_lost.swap(true, Ordering::AcqRel);
            if let Some(shared) = shared.upgrade() {
                shared.lose(generation, reason);
            }
        });
        let connection = match timeout(self.timeout, self.connector.connect(on_loss)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::TimedOut(self.timeout)),
        };
        let connection = connection.inspect_err(|_| {
            self.failed.fetch_max(generation + 1, Ordering::AcqRel);
        })?;
        let shared = Arc::downgrade(self);
        let stay = Stay::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.leave(generation);
            }
        });
        Ok(Up::new(Connection { generation, ..connection }, waited, lost, stay))
    }

    /// Runs an operation once, on this connection. It began at `since`.
    async fn run_on<F>(
        self: &Arc<Self>,
        up: &Up,
        since: Instant,
        until: Instant,
        operation: Pin<&mut F>,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let patience = Patience { shared: self, up, since };
        let Ok(result) = timeout_at(until, operation).await else {
            return Err(Failure::TimedOut(self.timeout));
        };
        mem::forget(patience);
        self.judge(up, &result);
        result
    }

    /// Makes this connection the present one. News of its end may have come before: the second of the two
    /// sees the first.
    fn publish(self: &Arc<Self>, up: Up) {
        let (generation, lost) = (up.generation(), Arc::clone(&up.lost));
        self.state.store(Arc::new(State::Up(up)));
        self.background.tell();
        if self.was_connected.swap(true, Ordering::AcqRel) {
            self.journal.reconnected();
            tracing::info!("reconnected to Redis at {}", self.connector);
        } else {
            tracing::info!("connected to Redis at {}", self.connector);
        }
        if lost.swap(true, Ordering::AcqRel) {
            self.lose(generation, &"it ended as soon as it was made");
        }
    }

    fn judge(self: &Arc<Self>, up: &Up, result: &Result<Value, Failure>) {
        match result {
            // It still serves reads; whether another server took its place, a new connection tells.
            Err(failure) if failure.is_read_only() => {
                if self.state.load().is_up_by(up.generation()) {
                    self.reconnect(up.next_delay());
                }
            }
            Err(failure) if failure.condemns_connection() => self.lose(up.generation(), failure),
            _ => {
                if up.note_answer() {
                    self.closed_early.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    fn count_timeout(self: &Arc<Self>, up: &Up, failure: &Failure) {
        if up.note_timeout() >= TIMEOUTS_IN_A_ROW && self.go_down(up.generation(), failure, true) {
            self.replace(up, failure);
        }
    }

    /// Gives up the connection of this generation, if it is still the present one.
    fn lose(self: &Arc<Self>, generation: u64, reason: &dyn fmt::Display) {
        let state = self.state.load_full();
        let State::Up(up) = &*state else { return };
        if up.generation() != generation {
            return;
        }
        let away = !up.has_served() && self.is_closed_early_again();
        if self.go_down(generation, reason, away) {
            self.replace(up, reason);
        }
    }

    fn replace(self: &Arc<Self>, lost: &Up, reason: &dyn fmt::Display) {
        tracing::warn!("lost the connection to Redis at {}: {reason}", self.connector);
        self.journal.failed(format!("{}: {reason}", self.connector));
        self.reconnect(lost.next_delay());
        self.journal.lost();
    }

    /// Gives up the connection of this generation because its runtime ends. Another is made for whoever
    /// needs it first, there.
    fn leave(&self, generation: u64) {
        if self.go_down(generation, &"the runtime that it was on has ended", false) {
            tracing::debug!("the runtime of the connection to Redis at {} has ended", self.connector);
        }
    }

    /// Whether the connection of this generation was the present one.
    fn go_down(&self, generation: u64, reason: &dyn fmt::Display, away: bool) -> bool {
        let state = self.state.load();
        state.is_up_by(generation) && self.exchange(&state, State::Down(Down::now(reason, away)))
    }

    /// Notes that a connection was closed before it answered anything. Says whether that was once too often.
    fn is_closed_early_again(&self) -> bool {
        self.closed_early.fetch_add(1, Ordering::Relaxed) + 1 >= CLOSED_IN_A_ROW
    }

    /// Replaces `present` by `next`, if it still is the present state.
    fn exchange(&self, present: &Arc<State>, next: State) -> bool {
        let exchanged = Arc::ptr_eq(&self.state.compare_and_swap(present, Arc::new(next)), present);
        self.background.tell();
        exchanged
    }

    /// Reconnects in the background, unless that is under way; first after `delay`.
    fn reconnect(self: &Arc<Self>, delay: Duration) {
        self.background.ask(self, delay);
    }

    /// Says whether the server counts as away.
    fn stay_down(&self, failure: Failure) -> bool {
        let away = !failure.is_broken() || self.is_closed_early_again();
        let reason = failure.at(&self.connector).into_reason();
        self.journal.failed(reason.clone());
        let state = self.state.load();
        if let State::Down(old) = &**state
            && (old.reason != reason || old.away != away)
        {
            if old.reason != reason {
                tracing::warn!("cannot connect to Redis yet: {reason}");
            }
            self.exchange(&state, State::Down(Down { reason, since: old.since, away }));
        }
        away
    }
}

impl Job for Shared {
    async fn attempt(self: &Arc<Self>, waited: Duration) -> Next {
        match self.open(waited).await {
            Ok(up) => {
                self.publish(up);
                Next::Done(BACKOFF.after(waited))
            }
            Err(failure) => {
                let away = self.stay_down(failure);
                Next::Retry(if away { BACKOFF.after(waited) } else { (2 * waited).max(SHORT_DELAY) })
            }
        }
    }

    fn is_needed(&self) -> bool {
        matches!(**self.state.load(), State::Down(_))
    }

    /// Without attempts, nobody knows whether the server is away.
    fn abandoned(&self) {
        let state = self.state.load();
        if let State::Down(down @ Down { away: true, .. }) = &**state {
            self.exchange(&state, State::Down(Down { away: false, ..down.clone() }));
        }
    }
}

/// Dropped by an operation that gets no answer. A caller with a shorter timeout of its own drops the operation,
/// and a frozen server would never be noticed; so what was dropped late counts as a timeout too.
struct Patience<'a> {
    shared: &'a Arc<Shared>,
    up: &'a Up,
    since: Instant,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        if waited >= self.shared.timeout / 2 {
            self.shared.count_timeout(self.up, &Failure::TimedOut(waited));
        }
    }
}

#[cfg(test)]
mod tests;

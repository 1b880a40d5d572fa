//! One connection that is replaced when it is of no use any more.

mod waiting;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use redis::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::health::{Journal, Status};
use super::{Connection, Failure, Repeat};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::random::jittered;
use crate::store::runtime_handle::{RuntimeHandle, Stay};

/// So many operations without an answer, one after the other, and the server counts as frozen.
const TIMEOUTS_IN_A_ROW: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// A server that answers again is found within a second.
const LONGEST_DELAY: Duration = Duration::from_millis(800);
/// So much time at least is between attempts, however many insist.
const LEAST_DELAY: Duration = Duration::from_millis(20);
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
    home: RuntimeHandle,
    state: ArcSwap<State>,
    reconnecting: AtomicBool,
    generations: AtomicU64,
    /// The generation that failed last, plus one.
    failed: AtomicU64,
    was_connected: AtomicBool,
    /// Connections in a row that were closed before they answered anything.
    closed_early: AtomicU32,
    /// Told of each new state, of each attempt that failed, and when nobody is reconnecting any more.
    changes: Notify,
    /// Told when the next attempt is to come soon.
    hurry: Arc<Notify>,
    waiting: Semaphore,
}

enum State {
    Up(Link),
    Down(Down),
}

#[derive(Clone)]
struct Down {
    reason: String,
    since: Timestamp,
    /// Whether the server is known not to answer, so that nobody waits for it.
    away: bool,
}

struct Link {
    connection: Connection,
    /// Tells it from its successors: news of an old connection's end must not end a new one.
    generation: u64,
    since: Timestamp,
    opened: Instant,
    /// Operations without an answer since the last one with; [`UNPROVEN`] until the first one with.
    timeouts: AtomicU32,
    /// How long the attempt that made it had waited, from which the next one's delay grows.
    waited: Duration,
    /// Whether news of its end has come; see [`Shared::publish`].
    lost: Arc<AtomicBool>,
    /// Brings news of the end of the runtime that it is on.
    _stay: Stay,
}

/// In [`Link::timeouts`]: nothing was answered yet.
const UNPROVEN: u32 = 1 << 31;

impl Supervisor {
    /// Without a connection, and not yet making one. `timeout` bounds every operation and every
    /// attempt to connect.
    pub(super) fn new(
        connector: Arc<dyn Connector>,
        timeout: Duration,
        journal: Arc<Journal>,
        home: RuntimeHandle,
    ) -> Self {
        let reason = "no connection was made yet".to_owned();
        let down = State::Down(Down { reason, since: SystemClock.now(), away: false });
        Self(Arc::new(Shared {
            connector,
            timeout,
            journal,
            home,
            state: ArcSwap::from_pointee(down),
            reconnecting: AtomicBool::new(false),
            generations: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            was_connected: AtomicBool::new(false),
            closed_early: AtomicU32::new(0),
            changes: Notify::new(),
            hurry: Arc::default(),
            waiting: Semaphore::new(waiting::MOST),
        }))
    }

    /// Connects, or fails within the timeout.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        // Whoever connects first is at home.
        self.0.home.runtime();
        let link = self.0.open(Duration::ZERO).await.map_err(|failure| failure.at(&self.0.connector))?;
        self.0.publish(link);
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
            State::Up(link) => Status { connected: true, since: link.since },
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
        if let State::Up(link) = &*self.0.state.load_full() {
            let result = {
                // Pinned here, since what is given to the timer is moved several times.
                let operation = pin!(operation(link.connection.clone()));
                self.0.attempt(link, self.0.timeout, operation).await
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
    async fn open(self: &Arc<Self>, waited: Duration) -> Result<Link, Failure> {
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
        Ok(Link {
            connection: Connection { generation, ..connection },
            generation,
            since: SystemClock.now(),
            opened: Instant::now(),
            timeouts: AtomicU32::new(UNPROVEN),
            waited,
            lost,
            _stay: stay,
        })
    }

    /// One run on `link`.
    async fn attempt<F>(
        self: &Arc<Self>,
        link: &Link,
        limit: Duration,
        operation: Pin<&mut F>,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        let mut patience = Patience { shared: self, link, since: Instant::now(), waiting: true };
        let result = timeout(limit, operation).await;
        patience.waiting = false;
        let Ok(result) = result else {
            patience.run_out();
            return Err(Failure::TimedOut(self.timeout));
        };
        self.judge(link, &result);
        result
    }

    /// Makes `link` the present one. News of its end may have come before: of these two, whoever is
    /// second sees the first.
    fn publish(self: &Arc<Self>, link: Link) {
        let (generation, lost) = (link.generation, Arc::clone(&link.lost));
        self.state.store(Arc::new(State::Up(link)));
        self.changes.notify_waiters();
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

    fn judge(self: &Arc<Self>, link: &Link, result: &Result<Value, Failure>) {
        match result {
            // It still serves reads; whether another server took its place, a new connection tells.
            Err(failure) if failure.is_read_only() => {
                if self.is_present(link.generation) {
                    self.reconnect(link.next_delay());
                }
            }
            Err(failure) if failure.condemns_connection() => self.lose(link.generation, failure),
            _ => self.note_answer(link),
        }
    }

    /// Writes only where that says something new, since all threads read it.
    fn note_answer(&self, link: &Link) {
        let timeouts = link.timeouts.load(Ordering::Relaxed);
        if timeouts == 0 {
            return;
        }
        link.timeouts.store(0, Ordering::Relaxed);
        if timeouts & UNPROVEN != 0 {
            self.closed_early.store(0, Ordering::Relaxed);
        }
    }

    fn count_timeout(self: &Arc<Self>, link: &Link, failure: &Failure) {
        let before = link.timeouts.fetch_add(1, Ordering::Relaxed) & !UNPROVEN;
        if before + 1 >= TIMEOUTS_IN_A_ROW && self.go_down(link.generation, failure, true) {
            self.replace(link, failure);
        }
    }

    fn is_present(&self, generation: u64) -> bool {
        matches!(&**self.state.load(), State::Up(link) if link.generation == generation)
    }

    /// Gives up the connection of this generation, if it is still the present one.
    fn lose(self: &Arc<Self>, generation: u64, reason: &dyn fmt::Display) {
        let state = self.state.load_full();
        let State::Up(link) = &*state else { return };
        if link.generation != generation {
            return;
        }
        let away = !link.has_served() && self.is_closed_early_again();
        if self.go_down(generation, reason, away) {
            self.replace(link, reason);
        }
    }

    fn replace(self: &Arc<Self>, lost: &Link, reason: &dyn fmt::Display) {
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
        if !matches!(&**state, State::Up(link) if link.generation == generation) {
            return false;
        }
        let down = Down { reason: reason.to_string(), since: SystemClock.now(), away };
        self.exchange(&state, State::Down(down))
    }

    /// Notes that a connection was closed before it answered anything. Says whether that was once too often.
    fn is_closed_early_again(&self) -> bool {
        self.closed_early.fetch_add(1, Ordering::Relaxed) + 1 >= CLOSED_IN_A_ROW
    }

    /// Replaces `present` by `next`, if it still is the present state.
    fn exchange(&self, present: &Arc<State>, next: State) -> bool {
        let exchanged = Arc::ptr_eq(&self.state.compare_and_swap(present, Arc::new(next)), present);
        self.changes.notify_waiters();
        exchanged
    }

    /// Sees to it that a task is reconnecting; its first attempt follows after `delay`.
    fn reconnect(self: &Arc<Self>, mut delay: Duration) {
        if self.reconnecting.load(Ordering::Acquire) {
            return;
        }
        let Some(runtime) = self.home.runtime() else { return };
        if self.reconnecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let (task, hurry) = (Reconnecting(Arc::downgrade(self)), Arc::clone(&self.hurry));
        runtime.spawn(async move {
            loop {
                if !delay.is_zero() {
                    let (delay, least) = (jittered(delay), delay.min(LEAST_DELAY));
                    sleep(least).await;
                    let _whichever_comes_first = timeout(delay.saturating_sub(least), hurry.notified()).await;
                }
                let Some(shared) = task.0.upgrade() else { return };
                match shared.open(delay).await {
                    Ok(link) => {
                        shared.publish(link);
                        drop(task);
                        // A loss until now found this task at work, and started none.
                        if matches!(**shared.state.load(), State::Down(_)) {
                            shared.reconnect(longer(delay));
                        }
                        return;
                    }
                    Err(failure) => {
                        let away = shared.stay_down(failure);
                        delay = if away { longer(delay) } else { (2 * delay).max(SHORT_DELAY) };
                    }
                }
            }
        });
    }

    /// Says whether the server counts as away.
    fn stay_down(&self, failure: Failure) -> bool {
        let away = !failure.is_broken() || self.is_closed_early_again();
        let reason = failure.at(&self.connector).into_reason();
        self.journal.failed(reason.clone());
        self.changes.notify_waiters();
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

/// Held by the task that reconnects. A runtime that shuts down drops the task, and this with it, so
/// that a caller on another runtime can start over.
struct Reconnecting(Weak<Shared>);

impl Drop for Reconnecting {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.reconnecting.swap(false, Ordering::AcqRel);
            // Nobody knows any more whether the server is away.
            let state = shared.state.load();
            if let State::Down(down @ Down { away: true, .. }) = &**state {
                shared.exchange(&state, State::Down(Down { away: false, ..down.clone() }));
            }
            shared.changes.notify_waiters();
        }
    }
}

/// Held while an operation runs. A caller with a shorter timeout of its own drops the operation, and
/// a frozen server would never be noticed; so what was dropped late counts as a timeout too.
struct Patience<'a> {
    shared: &'a Arc<Shared>,
    link: &'a Link,
    since: Instant,
    waiting: bool,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if !self.waiting {
            return;
        }
        self.run_out();
    }
}

impl Patience<'_> {
    fn run_out(&self) {
        let waited = self.since.elapsed();
        if waited >= self.shared.timeout / 2 {
            self.shared.count_timeout(self.link, &Failure::TimedOut(waited));
        }
    }
}

impl Link {
    fn has_served(&self) -> bool {
        self.timeouts.load(Ordering::Relaxed) & UNPROVEN == 0
    }

    /// A server that accepts connections and is of no use is not to be stormed.
    fn next_delay(&self) -> Duration {
        match (self.opened.elapsed() < 4 * LONGEST_DELAY, self.has_served()) {
            (false, _) => Duration::ZERO,
            (true, true) => SHORT_DELAY,
            (true, false) => longer(self.waited),
        }
    }
}

fn longer(delay: Duration) -> Duration {
    (delay * 2).clamp(FIRST_DELAY, LONGEST_DELAY)
}

#[cfg(test)]
mod tests;

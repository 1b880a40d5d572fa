//! The task in the background that each part of a store has which something may happen to: a connection is
//! lost, a cluster moves, a primary was away.

mod runtime_handle;
mod single_flight;

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
#[cfg(feature = "redis")]
use tokio::sync::futures::Notified;
use tokio::time::{sleep, timeout};

use self::single_flight::SingleFlight;
use crate::random::jittered;

pub(crate) use self::runtime_handle::RuntimeHandle;
#[cfg(feature = "redis")]
pub(crate) use self::runtime_handle::Stay;

/// So much time at least is between attempts, however many hurry them.
const LEAST_DELAY: Duration = Duration::from_millis(20);

/// What a [`Background`] task does, attempt by attempt.
pub(crate) trait Job: Send + Sync + 'static {
    /// One attempt. `waited` is the delay that it came after.
    fn attempt(self: &Arc<Self>, waited: Duration) -> impl Future<Output = Next> + Send;

    /// Whether there is something to do. Asked when all was done, since more may have come by then.
    fn is_needed(&self) -> bool;

    /// The task was lost with its runtime. Another one begins when somebody asks for it.
    fn abandoned(&self) {}
}

/// What follows an attempt.
pub(crate) enum Next {
    /// All is done. If more has come by now, another attempt follows after this delay.
    Done(Duration),
    /// Another attempt, after this delay.
    Retry(Duration),
}

/// Delays that double.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Backoff {
    /// The delay that follows `delay`.
    pub(crate) fn after(self, delay: Duration) -> Duration {
        (2 * delay).clamp(self.first, self.longest)
    }
}

/// At most one task, which runs while there is something to do; on the store's own runtime, or on a caller's
/// where that one has ended.
pub(crate) struct Background(Arc<Shared>);

struct Shared {
    home: RuntimeHandle,
    flight: SingleFlight,
    /// Told when the next attempt is to come soon.
    hurry: Notify,
    news: Notify,
}

impl Background {
    pub(crate) fn new(home: RuntimeHandle) -> Self {
        let (hurry, news) = (Notify::new(), Notify::new());
        Self(Arc::new(Shared { home, flight: SingleFlight::default(), hurry, news }))
    }

    /// Where the task runs.
    pub(crate) fn home(&self) -> &RuntimeHandle {
        &self.0.home
    }

    /// Sees to it that the task is running; the first attempt of a new one follows after `delay`.
    ///
    /// A task that is about to end goes on if `job` needs it, so the caller makes that known before.
    pub(crate) fn ask<J: Job>(&self, job: &Arc<J>, delay: Duration) {
        if let Some(runtime) = self.0.flight.begin(|| self.0.home.runtime()) {
            let task = Task { job: Arc::downgrade(job), shared: Arc::clone(&self.0), has_ended: false };
            runtime.spawn(task.run(delay));
        }
    }

    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.0.flight.is_running()
    }
}

#[cfg(feature = "redis")]
impl Background {
    /// Cuts the present delay short, or else the next one.
    pub(crate) fn hurry(&self) {
        self.0.hurry.notify_one();
    }

    /// Resolves at the next news: an attempt or the task has ended, or somebody has [told](Self::tell) something.
    /// What is told from this call on is not missed.
    pub(crate) fn news(&self) -> Notified<'_> {
        self.0.news.notified()
    }

    pub(crate) fn tell(&self) {
        self.0.news.notify_waiters();
    }
}

struct Task<J: Job> {
    job: Weak<J>,
    shared: Arc<Shared>,
    has_ended: bool,
}

impl<J: Job> Task<J> {
    async fn run(mut self, mut delay: Duration) {
        loop {
            self.shared.pause(delay).await;
            let Some(job) = self.job.upgrade() else { return };
            let next = job.attempt(delay).await;
            self.shared.news.notify_waiters();
            delay = match next {
                Next::Retry(delay) => delay,
                Next::Done(delay) => {
                    self.has_ended = self.shared.flight.has_ended(|| job.is_needed());
                    if self.has_ended {
                        return;
                    }
                    delay
                }
            };
        }
    }
}

/// A runtime that shuts down drops the task, and this with it, so that another one can start over.
impl<J: Job> Drop for Task<J> {
    fn drop(&mut self) {
        if !self.has_ended {
            if let Some(job) = self.job.upgrade() {
                job.abandoned();
            }
            self.shared.flight.end();
        }
        self.shared.news.notify_waiters();
    }
}

impl Shared {
    async fn pause(&self, delay: Duration) {
        if delay.is_zero() {
            return;
        }
        let least = delay.min(LEAST_DELAY);
        sleep(least).await;
        let _whichever_comes_first =
            timeout(jittered(delay).saturating_sub(least), self.hurry.notified()).await;
    }
}

#[cfg(test)]
mod tests;

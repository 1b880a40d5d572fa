//! Background tasks that repair what an outage broke: they run while there is something to do, one at a time,
//! with ever longer delays between attempts, and survive the runtime that they were started on.

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

/// The shortest time before an attempt that is hurried.
const LEAST_DELAY: Duration = Duration::from_millis(20);

/// What a [`Background`] task works on.
pub(crate) trait Job: Send + Sync + 'static {
    /// Makes one attempt. `waited` is the delay before it.
    fn attempt(self: &Arc<Self>, waited: Duration) -> impl Future<Output = Next> + Send;

    /// Whether there is something to do. The task asks this as it ends, so that no late request is lost.
    fn is_needed(&self) -> bool;

    /// Called after the task was lost with its runtime. Whoever hears of it can [`ask`](Background::ask) for another.
    fn abandoned(&self) {}
}

/// What follows an attempt.
pub(crate) enum Next {
    /// The end; or, if the job is [needed](Job::is_needed) again by now, another attempt after this delay.
    Done(Duration),
    /// Another attempt after this delay.
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

/// At most one task at a time, on the home runtime.
pub(crate) struct Background(Arc<Shared>);

struct Shared {
    home: RuntimeHandle,
    flight: SingleFlight,
    /// Cuts a delay short.
    hurry: Notify,
    news: Notify,
}

impl Background {
    pub(crate) fn new(home: RuntimeHandle) -> Self {
        let (hurry, news) = (Notify::new(), Notify::new());
        Self(Arc::new(Shared { home, flight: SingleFlight::default(), hurry, news }))
    }

    /// Where tasks run.
    #[cfg(any(feature = "memory", feature = "redis"))]
    pub(crate) fn home(&self) -> &RuntimeHandle {
        &self.0.home
    }

    /// Starts the task unless it is running, and answers whether it did. A new task makes its first attempt after `delay`.
    ///
    /// The caller changes what [`Job::is_needed`] sees before it asks: a task that is ending then goes on.
    pub(crate) fn ask<J: Job>(&self, job: &Arc<J>, delay: Duration) -> bool {
        let Some(runtime) = self.0.flight.begin(|| self.0.home.runtime()) else { return false };
        let task = Task { job: Arc::downgrade(job), shared: Arc::clone(&self.0), has_ended: false };
        runtime.spawn(task.run(delay));
        true
    }

    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.0.flight.is_running()
    }
}

#[cfg(feature = "redis")]
impl Background {
    /// Cuts the present delay short, or the next one if there is none.
    pub(crate) fn hurry(&self) {
        self.0.hurry.notify_one();
    }

    /// Resolves when an attempt or the task ends, or at the next [`tell`](Self::tell). Counts from this call, not
    /// from the first poll.
    pub(crate) fn news(&self) -> Notified<'_> {
        self.0.news.notified()
    }

    /// Wakes everybody who waits for news.
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
                    self.has_ended = self.shared.flight.try_end(|| job.is_needed());
                    if self.has_ended {
                        return;
                    }
                    delay
                }
            };
        }
    }
}

/// A runtime that shuts down drops its tasks.
impl<J: Job> Drop for Task<J> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.flight.end();
            if let Some(job) = self.job.upgrade() {
                job.abandoned();
            }
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

//! Holds a handler or a store at one point, so that races are played and not hoped for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Nothing here takes long; this turns a fault that would hang into one that fails.
pub const WITHIN: Duration = Duration::from_secs(10);

/// Where somebody arrives, waits until the gate is opened, and goes on.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    arrivals: Semaphore,
    passes: Semaphore,
    done: Semaphore,
}

impl Gate {
    pub fn closed() -> Self {
        let none = || Semaphore::new(0);
        Self(Arc::new(Inner { arrivals: none(), passes: none(), done: none() }))
    }

    /// Arrives, and goes on when the gate is open.
    pub async fn pass(&self) {
        self.0.arrivals.add_permits(1);
        take_one(&self.0.passes).await;
    }

    /// Says that what was behind the gate is done.
    pub fn leave(&self) {
        self.0.done.add_permits(1);
    }

    /// Waits until somebody has arrived.
    pub async fn arrival(&self) {
        within(take_one(&self.0.arrivals)).await;
    }

    /// Lets one through.
    pub fn open(&self) {
        self.0.passes.add_permits(1);
    }

    /// Waits until somebody is done.
    pub async fn departure(&self) {
        within(take_one(&self.0.done)).await;
    }
}

async fn take_one(permits: &Semaphore) {
    permits.acquire().await.expect("never closed").forget();
}

/// What `work` gives, or a panic if it takes too long.
pub async fn within<R>(work: impl Future<Output = R>) -> R {
    timeout(WITHIN, work).await.unwrap_or_else(|_| panic!("not within {WITHIN:?}"))
}

//! The runtime that a store's background tasks, and its connections, live on.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
#[cfg(feature = "redis")]
use tokio::task::AbortHandle;

/// Where a store's background tasks run, and with them the connections that they make: the runtime
/// that used the store first.
///
/// Each worker of actix-web has a runtime of its own, which a handler may block. A connection that was
/// made there would keep the other workers waiting.
#[derive(Clone, Default)]
pub(crate) struct RuntimeHandle(Arc<Mutex<Option<Handle>>>);

impl RuntimeHandle {
    /// That runtime; the caller's where there is none yet, or where it has shut down. `None` outside of
    /// both: an operation that is dropped there may bring news, and a later one sees to it.
    pub(crate) fn runtime(&self) -> Option<Handle> {
        let mut home = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Handle::try_current().ok();
        let is_here = |home: &Handle| current.as_ref().is_some_and(|current| current.id() == home.id());
        if home.as_ref().is_none_or(|home| !is_here(home) && has_shut_down(home)) {
            *home = current;
        }
        home.clone()
    }
}

/// What is spawned on a runtime that has shut down is cancelled on the spot.
fn has_shut_down(runtime: &Handle) -> bool {
    let probe = runtime.spawn(pending::<()>());
    let cancelled = probe.is_finished();
    probe.abort();
    cancelled
}

/// Tells when the runtime that it was made on ends.
#[cfg(feature = "redis")]
pub(crate) struct Stay(AbortHandle);

#[cfg(feature = "redis")]
impl Stay {
    /// `told` is called then, or when this is dropped.
    pub(crate) fn new(told: impl Fn() + Send + 'static) -> Self {
        let end = End(told);
        let task = async move {
            let _end = end;
            pending::<()>().await;
        };
        Self(tokio::spawn(task).abort_handle())
    }
}

#[cfg(feature = "redis")]
impl Drop for Stay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(feature = "redis")]
struct End<F: Fn()>(F);

#[cfg(feature = "redis")]
impl<F: Fn()> Drop for End<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl fmt::Debug for RuntimeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RuntimeHandle(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::{Builder, Runtime};

    fn runtime(threads: usize) -> Runtime {
        match threads {
            0 => Builder::new_current_thread().build().unwrap(),
            _ => Builder::new_multi_thread().worker_threads(threads).build().unwrap(),
        }
    }

    #[test]
    fn home_is_the_first_runtime_for_as_long_as_it_runs() {
        for threads in [0, 2] {
            let (home, first, second) = (RuntimeHandle::default(), runtime(threads), runtime(threads));
            assert!(home.runtime().is_none(), "outside of any");
            let id = |runtime: &Runtime| runtime.handle().id();
            let at_home = |caller: &Runtime| caller.block_on(async { home.runtime().unwrap().id() });
            assert_eq!(at_home(&first), id(&first));
            assert_eq!(at_home(&second), id(&first));
            assert_eq!(home.runtime().unwrap().id(), id(&first), "outside of any");

            drop(first);
            assert_eq!(at_home(&second), id(&second));
            drop(second);
            assert!(home.runtime().is_none());
        }
    }
}

//! Work that goes on when the request that waits for it is dropped.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tracing::{Instrument as _, Span};

/// Runs `work` to its end, so that a client which hangs up can't cut it in half: what is dropped before goes
/// on in a task of its own.
pub(super) fn shielded<F>(work: F) -> impl Future<Output = F::Output> + Send
where
    F: Future<Output: Send> + Send + 'static,
{
    // What happens there belongs to the request's trace, and to its runtime.
    Shielded { work: Some(Box::pin(work)), span: Span::current(), runtime: Handle::current() }
}

struct Shielded<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    span: Span,
    runtime: Handle,
}

impl<F: Future<Output: Send> + Send + 'static> Future for Shielded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out meanwhile: what panics does not go on.
        let mut work = self.work.take().expect("a future is not polled after its end");
        let poll = work.as_mut().poll(cx);
        if poll.is_pending() {
            self.work = Some(work);
        }
        poll
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Shielded<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.runtime.spawn(work.instrument(self.span.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt as _;
    use tokio::sync::Notify;
    use tokio::task::yield_now;

    use super::*;

    /// Work that waits to be let through, and counts how often it came to its end.
    fn work(gate: &Arc<Notify>, done: &Arc<AtomicU32>) -> impl Future<Output = ()> + Send + 'static {
        let (gate, done) = (Arc::clone(gate), Arc::clone(done));
        async move {
            gate.notified().await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn is_done(done: &AtomicU32) -> bool {
        for _ in 0..10 {
            yield_now().await;
        }
        done.load(Ordering::Relaxed) == 1
    }

    #[tokio::test]
    async fn what_is_dropped_half_way_goes_on() {
        let (gate, done) = <(Arc<Notify>, Arc<AtomicU32>)>::default();
        let mut dropped = Box::pin(shielded(work(&gate, &done)));
        assert!((&mut dropped).now_or_never().is_none());
        drop(dropped);
        assert!(!is_done(&done).await);
        gate.notify_one();
        assert!(is_done(&done).await);
    }

    #[tokio::test]
    async fn what_is_awaited_runs_once() {
        let (gate, done) = <(Arc<Notify>, Arc<AtomicU32>)>::default();
        gate.notify_one();
        shielded(work(&gate, &done)).await;
        assert!(is_done(&done).await);
    }

    #[tokio::test]
    async fn what_panics_does_not_go_on() {
        let polls = Arc::new(AtomicU32::new(0));
        let polled = Arc::clone(&polls);
        let task = tokio::spawn(shielded(async move {
            polled.fetch_add(1, Ordering::Relaxed);
            panic!("of the work");
        }));
        assert!(task.await.unwrap_err().is_panic());
        assert!(is_done(&polls).await, "it is not polled again");
    }
}

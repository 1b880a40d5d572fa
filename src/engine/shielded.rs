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

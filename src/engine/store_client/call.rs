//! One call of the store, watched: a span, the time that it took, and how it came out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};

use crate::error::Error;
use crate::id::SessionKey;
use crate::store::owner_index::{Entry, IndexInserted, Owned, Verdict};
use crate::store::scan::{Page, Usage};
use crate::store::{Created, Loaded, Updated};
use crate::telemetry::Telemetry;
use crate::telemetry::operations::{Operation, fault};

/// An operation of the store that is watched. Written by hand, since an `async fn` would move the answer,
/// a whole record, once more.
#[must_use]
pub(in crate::engine) struct Call<'a, C> {
    answer: C,
    telemetry: &'a Telemetry,
    operation: Operation,
    started: Option<Instant>,
    span: Option<Span>,
}

impl<'a, C> Call<'a, C> {
    /// Watches the call that `answer` comes of; it is about the session of `key`, or about many.
    pub(super) fn new(
        telemetry: &'a Telemetry,
        operation: Operation,
        key: Option<&SessionKey>,
        answer: C,
    ) -> Self {
        let started = telemetry.latencies().start(operation);
        // Asked first, since a span that is disabled is not for nothing where `tracing` has its feature `log`.
        let span = (Level::DEBUG <= LevelFilter::current()).then(|| span(operation, key));
        Self { answer, telemetry, operation, started, span }
    }
}

/// A span of an operation, which is about the session of `key`, or about many.
pub(super) fn span(operation: Operation, key: Option<&SessionKey>) -> Span {
    let operation = operation.name();
    match key {
        Some(key) => tracing::debug_span!("session_store", operation, %key, outcome = Empty),
        None => tracing::debug_span!("session_store", operation, outcome = Empty),
    }
}

impl<A: Answer, C: Future<Output = Result<A, Error>> + Unpin> Future for Call<'_, C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.get_mut();
        let answer = {
            let _entered = this.span.as_ref().map(Span::enter);
            Pin::new(&mut this.answer).poll(context)
        };
        if let Poll::Ready(answer) = &answer {
            if let Some(span) = &this.span {
                span.record("outcome", answer.as_ref().map_or_else(fault, Answer::name));
            }
            if let Some(started) = this.started {
                let took = started.elapsed();
                this.telemetry.time(this.operation, answer.as_ref().err(), took);
            }
        }
        answer
    }
}

/// What a store answers, as a span shows it: without anything of the session.
pub(in crate::engine) trait Answer {
    fn name(&self) -> &'static str;
}

impl Answer for Loaded {
    fn name(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Moved => "moved",
            Self::Absent => "absent",
        }
    }
}

impl Answer for Created {
    fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Taken => "taken",
        }
    }
}

impl Answer for Updated {
    fn name(&self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Stale(_) => "stale",
            Self::Missing => "missing",
            Self::Moved => "moved",
        }
    }
}

/// Of a touch or a deletion: whether it had an effect.
impl Answer for bool {
    fn name(&self) -> &'static str {
        if *self { "done" } else { "nothing_to_do" }
    }
}

/// Of an operation that has nothing more to say: it is done.
impl Answer for () {
    fn name(&self) -> &'static str {
        "done"
    }
}

impl Answer for IndexInserted {
    fn name(&self) -> &'static str {
        match self.verdict {
            Verdict::Inserted => "entered",
            Verdict::Revoked => "revoked",
            Verdict::Full => "full",
        }
    }
}

/// Of what was read: there is no more to say of it.
macro_rules! read {
    ($($answer:ty),*) => {
        $(impl Answer for $answer {
            fn name(&self) -> &'static str {
                "read"
            }
        })*
    };
}

read!(Owned, Vec<Entry>, Page, Usage);

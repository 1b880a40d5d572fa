//! What the engine asks of its store, watched: a span, the time that it took, and how it came out.

use std::cell::Cell;
use std::pin::Pin;
#[cfg(feature = "metrics")]
use std::sync::Once;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tracing::Instrument as _;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};

use super::Inner;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::histogram::Tally;
use crate::id::SessionKey;
use crate::rate::LastMinute;
use crate::record::Record;
use crate::stats::{DURATION_BUCKETS, LATENCY_BUCKETS};
use crate::store::status::StoreStatus;
use crate::store::{Created, Loaded, Updated};

/// One load in so many is timed where the store is in this process: such a load takes so little that two
/// looks at the clock would be felt.
const TIMED_IN_MEMORY: u32 = 64;

/// What a store is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Load,
    Create,
    Update,
    Touch,
    Rotate,
    Delete,
    /// Ends a session from outside its own requests.
    Revoke,
    /// Ends sessions of an owner.
    RevokeAll,
    /// Ends all sessions of the store.
    Clear,
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A request ended it.
    Destroyed,
    /// A request came with it, too late.
    Expired,
}

/// What was seen so far, beside the counters.
#[derive(Debug)]
pub(crate) struct Observed {
    /// One load in so many is timed.
    loads_timed: u32,
    pub(super) latencies: [Tally; Operation::ALL.len()],
    pub(super) durations: Tally,
    pub(super) created: LastMinute,
    /// How many sessions the log said last that there are.
    pub(super) logged: AtomicU64,
    #[cfg(feature = "metrics")]
    pub(super) described: Once,
}

impl Observed {
    pub(super) fn new(store: &StoreStatus) -> Self {
        Self {
            loads_timed: if store.kind == "memory" { TIMED_IN_MEMORY } else { 1 },
            latencies: Operation::ALL.map(|_| Tally::new(&LATENCY_BUCKETS)),
            durations: Tally::new(&DURATION_BUCKETS),
            created: LastMinute::default(),
            logged: AtomicU64::new(u64::MAX),
            #[cfg(feature = "metrics")]
            described: Once::new(),
        }
    }

    /// When the operation began, if it is to be timed.
    fn start(&self, operation: Operation) -> Option<Instant> {
        thread_local! {
            static LOADS: Cell<u32> = const { Cell::new(0) };
        }
        if operation == Operation::Load && self.loads_timed > 1 {
            let load = LOADS.replace(LOADS.get().wrapping_add(1));
            if !load.is_multiple_of(self.loads_timed) {
                return None;
            }
        }
        Some(Instant::now())
    }
}

impl<T> Inner<T> {
    /// Watches what the store makes of an operation on the session of `key`. Every call of the engine to
    /// its store goes through here.
    pub(crate) fn observe<A, C>(&self, operation: Operation, key: &SessionKey, call: C) -> Observing<'_, C>
    where
        A: Answer,
        C: Future<Output = Result<A, Error>> + Unpin,
    {
        let started = self.observed.start(operation);
        // Asked first, since a span that is disabled is not for nothing where `tracing` has its feature `log`.
        let span = (Level::DEBUG <= LevelFilter::current()).then(
            || tracing::debug_span!("session_store", operation = operation.name(), %key, outcome = Empty),
        );
        Observing { call, observed: &self.observed, operation, started, span }
    }

    /// Watches an operation that ends sessions in several steps: a span, in which the steps of the store are,
    /// the time that it took, and a line for operators with how many sessions ended.
    pub(crate) async fn observe_end(
        &self,
        operation: Operation,
        key: Option<&SessionKey>,
        call: impl Future<Output = Result<u64, Error>>,
    ) -> Result<u64, Error> {
        let started = Instant::now();
        let span =
            tracing::debug_span!("session_store", operation = operation.name(), key = Empty, outcome = Empty);
        if let Some(key) = key {
            span.record("key", tracing::field::display(key));
        }
        let ended = call.instrument(span.clone()).await;
        let took = started.elapsed();
        span.record("outcome", ended.as_ref().map_or_else(fault, |ended| (*ended > 0).name()));
        self.observed.latencies[operation as usize].add(took);
        #[cfg(feature = "metrics")]
        crate::metrics::time(operation, ended.as_ref().err(), took);
        let name = operation.name();
        match &ended {
            Ok(ended) => tracing::info!(operation = name, ended, "sessions ended"),
            Err(error) => tracing::warn!(operation = name, %error, "sessions could not be ended, or not all"),
        }
        ended
    }

    /// Counts a session that was created at `now`, and tells the log. Not a line for operators, since
    /// whoever sends requests without cookies would fill the log.
    pub(crate) fn count_created(&self, key: &SessionKey, record: &Record, now: Timestamp) {
        self.counters.shard().created.add_one();
        self.observed.created.add_one(now);
        let minutes = record.expires_at.saturating_since(now).as_secs().div_ceil(60);
        tracing::debug!(%key, "session created, to expire in {minutes} minutes");
    }

    /// Counts a session that was found to be over, and ended at `ended`.
    pub(crate) fn count_expired(&self, record: &Record, ended: Timestamp) {
        self.counters.shard().expired.add_one();
        self.count_duration(End::Expired, record.created_at, ended);
    }

    pub(crate) fn count_duration(&self, end: End, began: Timestamp, ended: Timestamp) {
        let lasted: Duration = ended.saturating_since(began);
        self.observed.durations.add(lasted);
        #[cfg(feature = "metrics")]
        crate::metrics::end(end, lasted);
        #[cfg(not(feature = "metrics"))]
        let _ = end;
    }
}

/// An operation of the store that is watched. Written by hand, since an `async fn` would move the answer,
/// a whole record, once more.
#[must_use]
pub(crate) struct Observing<'a, C> {
    call: C,
    observed: &'a Observed,
    operation: Operation,
    started: Option<Instant>,
    span: Option<Span>,
}

impl<A: Answer, C: Future<Output = Result<A, Error>> + Unpin> Future for Observing<'_, C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.get_mut();
        let answer = {
            let _entered = this.span.as_ref().map(Span::enter);
            Pin::new(&mut this.call).poll(context)
        };
        if let Poll::Ready(answer) = &answer {
            if let Some(span) = &this.span {
                span.record("outcome", answer.as_ref().map_or_else(fault, Answer::name));
            }
            if let Some(started) = this.started {
                let took = started.elapsed();
                this.observed.latencies[this.operation as usize].add(took);
                #[cfg(feature = "metrics")]
                crate::metrics::time(this.operation, answer.as_ref().err(), took);
            }
        }
        answer
    }
}

impl Operation {
    pub(crate) const ALL: [Self; 9] = [
        Self::Load,
        Self::Create,
        Self::Update,
        Self::Touch,
        Self::Rotate,
        Self::Delete,
        Self::Revoke,
        Self::RevokeAll,
        Self::Clear,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Create => "create",
            Self::Update => "update",
            Self::Touch => "touch",
            Self::Rotate => "rotate",
            Self::Delete => "delete",
            Self::Revoke => "revoke",
            Self::RevokeAll => "revoke_all",
            Self::Clear => "clear",
        }
    }
}

/// What a store answers, as a span shows it: without anything of the session.
pub(crate) trait Answer {
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

/// What kind of error it is: a few words, to be counted by.
pub(crate) fn fault(error: &Error) -> &'static str {
    match error {
        Error::Unavailable { .. } | Error::Unfinished { .. } => "unavailable",
        Error::Refused { .. } => "refused",
        Error::Corrupt { .. } | Error::NewerFormat { .. } => "unreadable",
        _ => "failed",
    }
}

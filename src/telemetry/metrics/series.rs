//! The series that a manager's metrics go to: those that all managers share, or its own, with a label of the
//! application's.

use std::fmt;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use ::metrics::{Key, Label, with_recorder};

use super::{EVENTS_TOTAL, METADATA, OPERATION_DURATION, SESSION_DURATION, SESSIONS_PER_OWNER};
use crate::error::Error;
use crate::telemetry::analytics::End;
use crate::telemetry::counters::EVENTS;
use crate::telemetry::operations::Operation;
use crate::telemetry::outcome::fault;

const OUTCOMES: [&str; 5] = ["ok", "unavailable", "refused", "unreadable", "failed"];

static SHARED: LazyLock<Keys> = LazyLock::new(|| Keys::new(None));

/// Where a manager's metrics go.
#[derive(Default)]
pub(crate) struct Series(Option<Box<Keys>>);

struct Keys {
    label: Option<Label>,
    /// By event.
    events: Made,
    /// By operation, and for each by outcome.
    operations: Made,
    ends: Made,
    sessions_per_owner: OnceLock<Box<Key>>,
}

/// Each is made once, when it is needed. A key of literals would do without, but its labels could not be taken from a list.
type Made = Box<[OnceLock<Box<Key>>]>;

impl Series {
    pub(crate) fn with(label: Label) -> Self {
        Self(Some(Box::new(Keys::new(Some(label)))))
    }

    /// Counts more of the event that has this place in [`EVENTS`].
    pub(in crate::telemetry) fn count(&self, event: usize, times: u64) {
        let key = self.keys().event(event);
        with_recorder(|recorder| recorder.register_counter(key, &METADATA).increment(times));
    }

    /// Takes note of how long an operation of the store took.
    pub(in crate::telemetry) fn time(&self, operation: Operation, error: Option<&Error>, took: Duration) {
        let outcome = error.map_or("ok", fault);
        let outcome = OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(OUTCOMES.len() - 1);
        let key = self.keys().operation(operation, outcome);
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(took));
    }

    /// Takes note of how long a session lasted.
    pub(in crate::telemetry) fn end(&self, end: End, lasted: Duration) {
        let key = self.keys().end(end);
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(lasted));
    }

    /// Takes note of how many sessions an owner has.
    pub(in crate::telemetry) fn owner_has(&self, sessions: f64) {
        let keys = self.keys();
        let make = || Box::new(keys.key(SESSIONS_PER_OWNER, Vec::new()));
        let key = keys.sessions_per_owner.get_or_init(make);
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA).record(sessions));
    }

    /// Says of each event that it has not happened yet: a counter that is first seen at 1 has no rate.
    pub(super) fn begin(&self) {
        for event in 0..EVENTS.len() {
            self.count(event, 0);
        }
    }

    /// The key of a metric that is told seldom.
    pub(super) fn key(&self, name: &'static str, labels: Vec<Label>) -> Key {
        self.keys().key(name, labels)
    }

    fn keys(&self) -> &Keys {
        self.0.as_deref().unwrap_or_else(|| &SHARED)
    }
}

impl Keys {
    fn new(label: Option<Label>) -> Self {
        let made = |count| (0..count).map(|_| OnceLock::new()).collect();
        let operations = made(Operation::ALL.len() * OUTCOMES.len());
        Self {
            label,
            events: made(EVENTS.len()),
            operations,
            ends: made(End::ALL.len()),
            sessions_per_owner: OnceLock::new(),
        }
    }

    fn event(&self, event: usize) -> &Key {
        let make = || self.key(EVENTS_TOTAL, vec![Label::new("event", EVENTS[event])]);
        self.events[event].get_or_init(|| Box::new(make()))
    }

    fn operation(&self, operation: Operation, outcome: usize) -> &Key {
        let labels =
            || vec![Label::new("operation", operation.name()), Label::new("outcome", OUTCOMES[outcome])];
        let place = &self.operations[operation as usize * OUTCOMES.len() + outcome];
        place.get_or_init(|| Box::new(self.key(OPERATION_DURATION, labels())))
    }

    fn end(&self, end: End) -> &Key {
        let make = || self.key(SESSION_DURATION, vec![Label::new("end", end.name())]);
        self.ends[end as usize].get_or_init(|| Box::new(make()))
    }

    fn key(&self, name: &'static str, mut labels: Vec<Label>) -> Key {
        labels.extend(self.label.clone());
        Key::from_parts(name, labels)
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Series").field(&self.keys().label).finish()
    }
}

//! Who is told: the audit log at once, listeners soon.

use std::fmt;
use std::sync::Arc;

use super::{EventDetail, EventKind, SessionEvent};
use crate::clock::{Clock, Timestamp};
use crate::id::SessionKey;
use crate::record::{Label, Owner, Record};
use crate::telemetry::Telemetry;
use crate::telemetry::event_queue::EventQueue;
use crate::telemetry::told_ends::ToldEnds;

/// The session that an event is about, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject<'a> {
    key: Option<SessionKey>,
    previous: Option<SessionKey>,
    pub(in crate::telemetry) began: Option<Timestamp>,
    pub(in crate::telemetry) ended: Option<Timestamp>,
    pub(in crate::telemetry) returning: Option<bool>,
    owner: Option<&'a Owner>,
    label: Option<&'a Label>,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(key: impl Into<Option<SessionKey>>) -> Self {
        Self { key: key.into(), ..Self::default() }
    }

    /// What is stored of it.
    pub(crate) fn stored(self, record: impl Into<Option<&'a Record>>) -> Self {
        let Some(record) = record.into() else { return self };
        let (owner, label) = (record.owner.as_ref(), record.label.as_ref());
        Self { began: Some(record.created_at), owner, label, ..self }
    }

    pub(crate) fn began(self, began: impl Into<Option<Timestamp>>) -> Self {
        Self { began: began.into(), ..self }
    }

    pub(crate) fn owned_by(self, owner: impl Into<Option<&'a Owner>>) -> Self {
        Self { owner: owner.into(), ..self }
    }

    pub(crate) fn labelled(self, label: impl Into<Option<&'a Label>>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// It was over at this moment, before anybody found out.
    pub(crate) fn ended(self, ended: Timestamp) -> Self {
        Self { ended: Some(ended), ..self }
    }

    /// Whether the browser that signs in was here before.
    pub(crate) fn returning(self, returning: bool) -> Self {
        Self { returning: Some(returning), ..self }
    }

    /// It had this key before.
    pub(crate) fn after(self, previous: SessionKey) -> Self {
        Self { previous: Some(previous), ..self }
    }

    pub(in crate::telemetry) fn event(
        self,
        kind: EventKind,
        at: Timestamp,
        detail: EventDetail,
    ) -> SessionEvent {
        let Self { key: session, previous, began, returning, owner, label, .. } = self;
        SessionEvent {
            kind,
            at,
            session,
            previous,
            began,
            returning,
            owner: owner.filter(|_| detail.owner).cloned(),
            label: label.filter(|_| detail.label).cloned(),
        }
    }
}

/// To whom events are told.
pub(crate) struct EventSinks {
    clock: Arc<dyn Clock>,
    audited: EventDetail,
    /// None where nobody listens.
    queue: Option<EventQueue>,
    pub(in crate::telemetry) expired: ToldEnds,
}

impl EventSinks {
    pub(crate) fn new(clock: Arc<dyn Clock>, audited: EventDetail, queue: Option<EventQueue>) -> Self {
        Self { clock, audited, queue, expired: ToldEnds::default() }
    }
}

impl fmt::Debug for EventSinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSinks").field("audited", &self.audited).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Tells what happened, to the audit log now and to the listeners soon.
    pub(crate) fn tell(&self, kind: EventKind, subject: Subject<'_>) {
        let sinks = &self.events;
        let at = sinks.clock.now();
        self.count_event(kind, &subject, at);
        audit(kind, at, &subject, sinks.audited);
        let Some(queue) = &sinks.queue else { return };
        if !queue.push(subject.event(kind, at, queue.detail())) {
            self.counters.mine().events_dropped.add_one();
        }
    }

    /// Waits until the listeners have heard of all that happened before.
    pub(crate) async fn flush_events(&self) {
        if let Some(queue) = &self.events.queue {
            queue.flushed().await;
        }
    }
}

/// The line of an event in the audit log.
fn audit(kind: EventKind, at: Timestamp, subject: &Subject<'_>, detail: EventDetail) {
    let by = match kind {
        EventKind::Revoked { by } => Some(by.name()),
        _ => None,
    };
    tracing::info!(
        target: "session_store::audit",
        event = kind.name(),
        by,
        session = subject.key.as_ref().map(tracing::field::display),
        previous = subject.previous.as_ref().map(tracing::field::display),
        at = at.as_millis(),
        returning = subject.returning,
        owner = subject.owner.filter(|_| detail.owner).map(Owner::as_str),
        label = subject.label.filter(|_| detail.label).map(Label::as_str),
    );
}

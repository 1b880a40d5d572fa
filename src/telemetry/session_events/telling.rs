//! Who is told: the audit log at once, listeners soon.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{EventDetail, EventKind, SessionEvent};
use crate::clock::{Clock, Timestamp};
use crate::id::SessionKey;
use crate::record::{Label, Owner, Record};
use crate::store::history::{HistoryEntry, HistoryEvent};
use crate::telemetry::Telemetry;
use crate::telemetry::event_queue::EventQueue;
use crate::telemetry::told_lately::ToldLately;

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

impl Subject<'_> {
    /// What a history has of it, and whose: only of sessions with an owner.
    fn remembered(&self, kind: EventKind, at: Timestamp) -> Option<(&Owner, HistoryEntry)> {
        let what = match kind {
            EventKind::SignedIn => HistoryEvent::SignedIn,
            EventKind::OwnerNamed => HistoryEvent::OwnerNamed,
            EventKind::Confirmed => HistoryEvent::Confirmed,
            EventKind::SignedOut => HistoryEvent::SignedOut,
            EventKind::Replaced => HistoryEvent::Replaced,
            EventKind::Revoked { .. } => HistoryEvent::Revoked,
            EventKind::Evicted => HistoryEvent::Evicted,
            EventKind::Expired => HistoryEvent::Expired,
            EventKind::DeviceBound => HistoryEvent::DeviceBound,
            EventKind::DeviceRefused => HistoryEvent::DeviceRefused,
            EventKind::DeviceLost => HistoryEvent::DeviceLost,
            EventKind::Renewed
            | EventKind::SignInRefused
            | EventKind::OldIdUsed
            | EventKind::Forged
            | EventKind::Unreadable
            | EventKind::Conflict => return None,
        };
        let (owner, key, began) = (self.owner?, self.key.clone()?, self.began?);
        let mut entry = HistoryEntry::new(self.ended.unwrap_or(at), what, key, began);
        entry.label = self.label.cloned();
        Some((owner, entry))
    }
}

/// Where histories are kept.
pub(crate) trait Remembers: Send + Sync + 'static {
    /// Has an entry recorded soon. Answers whether there is room for it.
    fn remember(self: Arc<Self>, owner: &Owner, entry: HistoryEntry) -> bool;

    /// Waits until all that was to be recorded is.
    fn recorded(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

/// To whom events are told.
pub(crate) struct EventSinks {
    clock: Arc<dyn Clock>,
    audited: EventDetail,
    /// None where nobody listens.
    queue: Option<EventQueue>,
    /// None where no history is kept.
    history: Option<Arc<dyn Remembers>>,
    pub(in crate::telemetry) expired: ToldLately,
    /// Whose lost or refused devices are in the history: whoever has a stolen cookie must not fill it with requests.
    suspicious: ToldLately,
}

impl EventSinks {
    pub(crate) fn new(clock: Arc<dyn Clock>, audited: EventDetail, queue: Option<EventQueue>) -> Self {
        Self {
            clock,
            audited,
            queue,
            history: None,
            expired: ToldLately::default(),
            suspicious: ToldLately::default(),
        }
    }

    pub(crate) fn remembered_by(self, history: Option<Arc<dyn Remembers>>) -> Self {
        Self { history, ..self }
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
        self.remember(kind, at, &subject);
        let Some(queue) = &sinks.queue else { return };
        if !queue.push(subject.event(kind, at, queue.detail())) {
            self.count(|it| &it.events_dropped);
        }
    }

    fn remember(&self, kind: EventKind, at: Timestamp, subject: &Subject<'_>) {
        let sinks = &self.events;
        let Some(history) = &sinks.history else { return };
        let Some((owner, entry)) = subject.remembered(kind, at) else { return };
        let is_suspicious = matches!(kind, EventKind::DeviceRefused | EventKind::DeviceLost);
        if is_suspicious && !sinks.suspicious.add(&entry.session) {
            return;
        }
        if !Arc::clone(history).remember(owner, entry) {
            self.history_lost();
        }
    }

    /// An entry of a history was not recorded.
    pub(crate) fn history_lost(&self) {
        self.count(|it| &it.history_lost);
    }

    /// Waits until the listeners have heard of all that happened before, and histories have it.
    pub(crate) async fn flush_events(&self) {
        if let Some(queue) = &self.events.queue {
            queue.flushed().await;
        }
        self.flush_history().await;
    }

    /// Waits until histories have all that happened before.
    pub(crate) async fn flush_history(&self) {
        if let Some(history) = &self.events.history {
            Arc::clone(history).recorded().await;
        }
    }
}

/// The line of an event in the audit log.
fn audit(kind: EventKind, at: Timestamp, subject: &Subject<'_>, detail: EventDetail) {
    let by = match kind {
        EventKind::Revoked { by } => Some(by.name()),
        _ => None,
    };
    macro_rules! line {
        ($level:ident) => {
            tracing::event!(
                target: "session_store::audit",
                tracing::Level::$level,
                event = kind.name(),
                by,
                session = subject.key.as_ref().map(tracing::field::display),
                previous = subject.previous.as_ref().map(tracing::field::display),
                at = at.as_millis(),
                returning = subject.returning,
                owner = subject.owner.filter(|_| detail.owner).map(Owner::as_str),
                label = subject.label.filter(|_| detail.label).map(Label::as_str),
            )
        };
    }
    match kind {
        // Anybody can send forged cookies, as many as they like, and would fill a log.
        EventKind::Forged => line!(DEBUG),
        _ => line!(INFO),
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::clock::SystemClock;
    use crate::id::SessionId;
    use crate::record::Payload;
    use crate::store::status::StoreStatus;

    /// A history of two entries at most.
    #[derive(Default)]
    struct Notes(Mutex<Vec<HistoryEntry>>);

    impl Remembers for Notes {
        fn remember(self: Arc<Self>, _: &Owner, entry: HistoryEntry) -> bool {
            let mut notes = self.0.lock();
            let has_room = notes.len() < 2;
            if has_room {
                notes.push(entry);
            }
            has_room
        }

        fn recorded(self: Arc<Self>) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    /// Whoever has a stolen cookie could push a sign-in out of the history by as many requests as it has entries.
    #[test]
    fn a_lost_device_is_remembered_once() {
        let notes = Arc::new(Notes::default());
        let sinks = EventSinks::new(Arc::new(SystemClock), EventDetail::new(), None)
            .remembered_by(Some(Arc::<Notes>::clone(&notes)));
        let telemetry = Telemetry::new(&StoreStatus::default(), sinks);
        let now = SystemClock.now();
        let record =
            Record { owner: Some(Owner::new("ada").unwrap()), ..Record::new(now, now, Payload::new(1, "")) };
        let (key, other) = (SessionId::generate().key(), SessionId::generate().key());
        let tell = |key: &SessionKey| {
            telemetry.tell(EventKind::DeviceLost, Subject::of(key.clone()).stored(&record));
        };
        for _ in 0..100 {
            tell(&key);
        }
        assert_eq!(notes.0.lock().len(), 1);
        tell(&other);
        assert_eq!(telemetry.counts().history_lost, 0);
        telemetry.tell(EventKind::SignedOut, Subject::of(key).stored(&record));
        assert_eq!(telemetry.counts().history_lost, 1, "there was no room");
        let told: Vec<_> = notes.0.lock().iter().map(|entry| entry.what).collect();
        assert_eq!(told, [HistoryEvent::DeviceLost; 2]);
    }
}

//! Who is told what becomes of sessions, and what they are told.

use std::time::Duration;

use super::commit::Plan;
use super::state::{Intent, NewId};
use super::{SessionData, SessionManager, SessionManagerBuilder, Shared};
use crate::id::{SessionId, SessionKey};
use crate::record::Record;
use crate::telemetry::session_events::{EventDetail, EventKind, SessionEvent, Subject};

/// A visitor's session that began so long ago is of an earlier visit.
const VISIT: Duration = Duration::from_secs(30 * 60);

impl<T: SessionData> SessionManagerBuilder<T> {
    /// Has `listener` called with each event in the life of a session, without its owner and label. Several listeners
    /// may be added.
    ///
    /// A listener runs on a thread of its own, outside any runtime, and may block: no response waits for it. Up to 1,024
    /// events wait for it; further ones are dropped, and [`Counts::events_dropped`](crate::Counts::events_dropped)
    /// counts them. One that panics is called again with the next event.
    ///
    /// The page `events` of the documentation has more.
    ///
    /// ```
    /// use session_store::{EventKind, KeyRing, MemoryStore, SessionManager, Values};
    ///
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .on_event(|event| {
    ///         if event.kind == EventKind::DeviceRefused {
    ///             eprintln!("somebody may have a stolen cookie: {event:?}");
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn on_event(self, listener: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        self.on_event_with(EventDetail::new(), listener)
    }

    /// The same, with what `detail` asks for. [`SessionEvent`] has an example.
    pub fn on_event_with(
        mut self,
        detail: EventDetail,
        listener: impl Fn(&SessionEvent) + Send + Sync + 'static,
    ) -> Self {
        self.listeners.add(detail, listener);
        self
    }

    /// Sets what the lines of the audit log tell of people. Default: nothing, only the session's key.
    ///
    /// The audit log is what [`tracing`](https://docs.rs/tracing) gets for the target `session_store::audit`, at the
    /// level INFO (DEBUG for forged cookies, which anybody can send): the application's subscriber decides whether it is
    /// written, and where.
    ///
    /// ```
    /// # use session_store::{EventDetail, KeyRing, MemoryStore, SessionManager};
    /// # let builder = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate());
    /// let manager = builder.audit_with(EventDetail::new().owner()).build()?;
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn audit_with(mut self, detail: EventDetail) -> Self {
        self.audited = detail;
        self
    }
}

impl<T: SessionData> SessionManager<T> {
    /// Waits until the listeners of [`on_event`](SessionManagerBuilder::on_event) have heard of everything that happened
    /// before, and [histories](SessionManagerBuilder::history) have it: for the end of a service, and for tests. Does not
    /// return while a listener blocks; a store that is away is waited for up to a minute.
    ///
    /// [`SessionEvent`] has an example.
    pub async fn flush_events(&self) {
        self.0.telemetry().flush_events().await;
    }
}

impl<T: SessionData> Shared<T> {
    /// A session began, as `intent` asked.
    pub(super) fn tell_begun(&self, intent: &Intent, key: SessionKey, record: &Record) {
        let kind = match &intent.new_id {
            NewId::SignIn(_) => EventKind::SignedIn,
            _ if record.owner.is_some() => EventKind::OwnerNamed,
            // A visitor's, of which an attacker makes as many as he likes.
            _ => return,
        };
        let mut subject = Subject::of(key).stored(record);
        if kind == EventKind::SignedIn {
            subject = subject.returning(self.verified_ids.first.is_some());
        }
        self.manager.telemetry().tell(kind, subject);
    }

    /// A session that was `before` got a new id, as `intent` asked.
    pub(super) fn tell_moved(
        &self,
        intent: &Intent,
        before: (SessionKey, &Record),
        after: (SessionKey, &Record),
    ) {
        let telemetry = self.manager.telemetry();
        let ((old_key, old), (key, record)) = (before, after);
        let kind = match &intent.new_id {
            NewId::SignIn(_) => EventKind::SignedIn,
            NewId::SetOwner(_) => EventKind::OwnerNamed,
            _ if intent.confirmed.is_some() => EventKind::Confirmed,
            _ => EventKind::Renewed,
        };
        if kind == EventKind::SignedIn && old.owner.is_some() {
            telemetry.tell(EventKind::Replaced, Subject::of(old_key.clone()).stored(old));
        }
        let mut subject = Subject::of(key).stored(record).after(old_key);
        if kind == EventKind::SignedIn {
            let is_of_earlier = record.created_at.saturating_since(old.created_at) >= VISIT;
            subject = subject.returning(old.owner.is_some() || is_of_earlier);
        }
        telemetry.tell(kind, subject);
    }

    /// A session was stored again under its key.
    pub(super) fn tell_updated(&self, key: &SessionKey, before: &Record, after: &Record) {
        if after.owner.is_some() && after.owner.as_ref() != before.entered_owner() {
            self.manager.telemetry().tell(EventKind::OwnerNamed, Subject::of(key.clone()).stored(after));
        }
    }
}

impl Plan {
    /// Whose session it is about, counting who signs in.
    pub(super) fn subject(&self) -> Subject<'_> {
        let record = self.stored.record();
        let owner = self.intent.new_owner().or(record.and_then(|record| record.owner.as_ref()));
        Subject::of(self.stored.id().map(SessionId::key)).stored(record).owned_by(owner)
    }
}

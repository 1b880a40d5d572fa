//! A listener that remembers.

use std::sync::{Arc, Mutex};

use session_store::{
    EventDetail, EventKind, SessionData, SessionEvent, SessionManager, SessionManagerBuilder,
};

/// What was told of so far.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<SessionEvent>>>);

impl Told {
    /// Listens to all that there is.
    pub(crate) fn listen<T: SessionData>(
        &self,
        builder: SessionManagerBuilder<T>,
    ) -> SessionManagerBuilder<T> {
        self.listen_to(EventDetail::new().owner().label(), builder)
    }

    pub(crate) fn listen_to<T: SessionData>(
        &self,
        detail: EventDetail,
        builder: SessionManagerBuilder<T>,
    ) -> SessionManagerBuilder<T> {
        let told = self.clone();
        builder.on_event_with(detail, move |event| told.0.lock().unwrap().push(event.clone()))
    }

    /// What the manager told since the last call.
    pub(crate) async fn take<T: SessionData>(&self, manager: &SessionManager<T>) -> Vec<SessionEvent> {
        manager.flush_events().await;
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The same in short.
    pub(crate) async fn names<T: SessionData>(&self, manager: &SessionManager<T>) -> Vec<String> {
        self.take(manager).await.iter().map(name).collect()
    }
}

pub(crate) fn name(event: &SessionEvent) -> String {
    match event.kind {
        EventKind::Revoked { by } => format!("revoked by {}", by.name()),
        kind => kind.name().to_owned(),
    }
}

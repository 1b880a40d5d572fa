//! Keeps a session alive for as long as a page is open that sends no requests.

use super::state::{Intent, StoredState};
use super::{Session, SessionData, Shared};
use crate::engine::plan::{self, Action, CommitTrigger, Situation};
use crate::error::{Conflict, Error};
use crate::ttl::Ttl;

/// How often a touch is tried again on what another request stored first.
const MAX_ROUNDS: usize = 8;

impl<T: SessionData> Session<T> {
    /// Extends the session, as a request that only reads does when it is answered: for handlers whose response takes
    /// long, such as those of a `WebSocket` or of event streams.
    ///
    /// Call it at each sign of life of the client. The store is only asked once a share of the
    /// idle timeout has passed ([`touch_share`](crate::SessionManagerBuilder::touch_share)). Changes no data,
    /// creates nothing, and does not go beyond the absolute timeout. A cookie with a `Max-Age` is extended by
    /// the next request only, since the response may be on its way.
    ///
    /// ```
    /// # use session_store::{Error, Session};
    /// # struct Socket;
    /// # impl Socket { async fn message(&mut self) -> Option<()> { None } }
    /// async fn serve(session: Session, mut socket: Socket) -> Result<(), Error> {
    ///     while let Some(_message) = socket.message().await {
    ///         session.touch().await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the store; [`Conflict::Ended`] if the session has ended, and [`Conflict::Moved`] if it got another id,
    /// where the call finds that out. A visitor without a session is no error.
    pub async fn touch(&self) -> Result<(), Error> {
        self.0.touch_now().await
    }
}

impl<T: SessionData> Shared<T> {
    async fn touch_now(&self) -> Result<(), Error> {
        let _one_at_a_time = self.storing.lock().await;
        let manager = &*self.manager;
        let (id, mut record) = match self.state().read(|state| state.stored.clone()) {
            StoredState::Live { id, record } => (id, record),
            StoredState::New { .. } => return Ok(()),
            StoredState::Renewed { .. } | StoredState::Moved { .. } => return Err(Conflict::Moved.into()),
            StoredState::Unproven { .. } => return Err(Conflict::Unproven.into()),
            StoredState::Ended => return Err(Conflict::Ended.into()),
        };
        let key = id.key();
        for _ in 0..MAX_ROUNDS {
            let now = manager.clock.now();
            let stored = StoredState::Live { id: id.clone(), record: record.clone() };
            let (intent, trigger) = (&Intent::default(), CommitTrigger::Touch);
            let used = Situation { stored: &stored, intent, dirty: false, trigger, committed: false };
            let expires_at = match plan::decide(used, manager.policy(), now).action {
                Action::Touch(expires_at) => expires_at,
                Action::Expire => return Err(Conflict::Ended.into()),
                _ => return Ok(()),
            };
            let ttl = Ttl::new(expires_at.saturating_since(now));
            if manager.store.at(now).touch(&key, &record, expires_at, ttl).await? {
                manager.telemetry().touched();
                self.state().write(|state| {
                    if let StoredState::Live { record: known, .. } = &mut state.stored {
                        known.expires_at = expires_at;
                        state.known_at = now;
                    }
                });
                return Ok(());
            }
            // Another request wrote, touched, moved or ended it. What it wrote is not this request's to see
            // before it reloads.
            record = match self.load_one(&id, now).await?.0 {
                StoredState::Live { record, .. } => record,
                stored => return Err(stored.conflict().into()),
            };
        }
        Err(Conflict::Contention.into())
    }
}

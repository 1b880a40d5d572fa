//! Reading a session again that a request has loaded.

use std::sync::Arc;

use super::state::StoredState;
use super::{Session, SessionData};
use crate::error::Error;

impl<T: SessionData> Session<T> {
    /// Reads the session from the store again, and drops data that was written but not stored, even if
    /// reading fails.
    ///
    /// What was asked for beside data stands: a new id, an owner, a label, an expiry. After a sign-in
    /// the data is what is stored, or `T::default()` where that is somebody else's. What a
    /// [`save`](Self::save) failed to store is dropped altogether: sign in again.
    ///
    /// If the session got a new id meanwhile, the request sees an empty one from now on, and may not write.
    pub async fn reload(&self) -> Result<(), Error> {
        let _one_at_a_time = self.0.storing.lock().await;
        let known = self.0.state().write(|state| {
            state.drop_written();
            state.stored.clone()
        });
        let now = self.0.manager.clock.now();
        let (stored, value) = match known {
            StoredState::New { .. } | StoredState::Ended => (known, Arc::default()),
            StoredState::Live { id, .. } | StoredState::Renewed { id, .. } | StoredState::Moved { id } => {
                self.0.load_again(id, now).await?
            }
        };
        self.0.state().write(|state| {
            state.reload(stored, value);
            state.known_at = now;
        });
        Ok(())
    }

    /// Makes sure that the session is as it is in the store now, where a [`NearCache`](crate::NearCache) may have answered
    /// with what it was a moment ago: for what must not be allowed once somebody signed out elsewhere. It reads the
    /// session once.
    ///
    /// If it has ended, or has a new id, the request sees an empty one from now on, as after [`reload`](Self::reload). But
    /// what was written before is kept: it is stored on top of what others wrote, or refused.
    ///
    /// ```
    /// # use session_store::{Error, Session};
    /// async fn transfer(session: Session) -> Result<String, Error> {
    ///     session.fresh().await?;
    ///     Ok(match session.owner() {
    ///         Some(owner) => format!("{} transfers", owner.as_str()),
    ///         None => "Sign in first".to_owned(),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of a load.
    pub async fn fresh(&self) -> Result<(), Error> {
        let _one_at_a_time = self.0.storing.lock().await;
        let known = self.0.state().read(|state| match &state.stored {
            StoredState::Live { id, record } => Some((id.clone(), record.revision)),
            // The store itself said so, or nothing is stored.
            _ => None,
        });
        let Some((id, revision)) = known else { return Ok(()) };
        let now = self.0.manager.clock.now();
        let (stored, value) = self.0.load_again(id, now).await?;
        self.0.state().write(|state| {
            let is_the_same = stored.record().is_some_and(|record| record.revision == revision);
            match &stored {
                _ if !is_the_same && !state.is_pending() => state.reload(stored, value),
                StoredState::Live { .. } if !is_the_same => return,
                StoredState::Live { .. } => state.stored = stored,
                _ => state.lose(stored),
            }
            state.known_at = now;
        });
        Ok(())
    }
}

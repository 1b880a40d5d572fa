//! Reading a session again that a request has loaded.

use std::sync::Arc;

use super::state::StoredState;
use super::{Session, SessionData, Shared};
use crate::clock::Timestamp;
use crate::error::{Conflict, Error};

impl<T: SessionData> Session<T> {
    /// Reads the session from the store again, and drops data that was written but not stored, even if
    /// reading fails.
    ///
    /// A pending new id, owner, label or expiry is kept. After a sign-in the data is what is
    /// stored, or `T::default()` where that is somebody else's. Everything that a [`save`](Self::save) failed to
    /// store is dropped: sign in again.
    ///
    /// If the session got a new id meanwhile, the request sees an empty one from now on, and may not write.
    ///
    /// # Errors
    ///
    /// Those of a load.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Vec<String>>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.write(|cart| cart.push("tea".to_owned()))?;
    /// // The form was not valid: back to what is stored.
    /// session.reload().await?;
    /// assert_eq!(session.read(Vec::len), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn reload(&self) -> Result<(), Error> {
        let _one_at_a_time = self.0.storing.lock().await;
        let known = self.0.state().write(|state| {
            state.drop_written();
            state.stored.clone()
        });
        let now = self.0.manager.clock.now();
        let (stored, value) = match known {
            StoredState::New { .. } | StoredState::Unproven { .. } | StoredState::Ended => {
                (known, Arc::default())
            }
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

    /// Brings the session up to date with the store, where a [`NearCache`](crate::NearCache) may have answered with an
    /// earlier state: for actions that must be refused once the user has signed out elsewhere. Reads the session once.
    ///
    /// If it has ended, or has a new id, the request sees an empty one from now on, as after
    /// [`reload`](Self::reload). If the request has writes that are not stored yet, that is an error instead; otherwise
    /// they are kept on top of what others have stored.
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
    /// Those of a load. [`Error::Conflict`] if the request has writes that are not stored yet, and the session has
    /// ended, has a new id or is somebody else's.
    pub async fn fresh(&self) -> Result<(), Error> {
        let _one_at_a_time = self.0.storing.lock().await;
        let known = self.0.state().read(|state| match &state.stored {
            StoredState::Live { id, record } | StoredState::Renewed { id, record } => {
                Some((id.clone(), record.clone()))
            }
            // The store itself said so, or nothing is stored.
            StoredState::New { .. }
            | StoredState::Moved { .. }
            | StoredState::Unproven { .. }
            | StoredState::Ended => None,
        });
        let Some((id, known)) = known else { return Ok(()) };
        let now = self.0.manager.clock.now();
        let (stored, value) = self.0.load_again(id, now).await?;
        self.0.state().write(|state| {
            let present = stored.record();
            let is_known = present.is_some_and(|record| record.revision == known.revision);
            if !is_known && !state.is_pending() {
                state.reload(stored, value);
                state.known_at = now;
                return Ok(());
            }
            let Some(record) = present.filter(|record| record.owner == known.owner) else {
                let conflict = if present.is_some() { Conflict::Owner } else { stored.conflict() };
                state.lose(stored);
                return Err(conflict.into());
            };
            if !is_known {
                match state.baseline.take() {
                    Some(before) => state.rebase(self.0.manager.encoder(), before, &record.data),
                    None => state.value = value,
                }
            }
            state.stored = stored;
            state.known_at = now;
            Ok(())
        })
    }
}

impl<T: SessionData> Shared<T> {
    /// Whether a request may have loaded a near cache's copy.
    pub(super) fn may_load_copies(&self) -> bool {
        !self.manager.oldest_copy.is_zero()
    }

    /// Whether what was known of a session at that time may be a copy: nothing that the store has said since is younger
    /// than one can be.
    pub(super) fn is_as_old_as_a_copy(&self, known_at: Timestamp) -> bool {
        self.manager.clock.now().saturating_since(known_at) >= self.manager.oldest_copy
    }
}

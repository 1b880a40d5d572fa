//! Waiting for a session's end: what a connection that stays open needs to know.

use std::time::Duration;

use tokio::time::timeout;

use super::manager::Inner;
use super::state::StoredState;
use super::{Session, SessionData, SessionManager};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Owner;

/// How long it takes until the store is asked again after it was not there, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// Why a session ended.
///
/// ```
/// use session_store::Ended;
///
/// fn close_code(end: Ended) -> u16 {
///     // WebSocket codes from 4000 on are the application's own.
///     if end == Ended::Expired { 4000 } else { 4001 }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// It expired: it was not used for the idle timeout, or reached the absolute timeout.
    Expired,
    /// It was ended: by a logout, by [`revoke`](SessionManager::revoke) and its like, by the limit of sessions per
    /// owner, or by the sign-in of somebody else.
    SignedOut,
}

impl<T: SessionData> Session<T> {
    /// Waits until the session ends, whichever instance ends it: for a WebSocket, a stream of server-sent events or
    /// anything else that stays open for longer than a request.
    ///
    /// A renewal does not end it, nor does a sign-in, unless somebody else was signed in before. Nor does a
    /// store that is away for a while. Each request of the same browser keeps the session alive; traffic on an open
    /// socket does not, unless it calls [`touch`](Self::touch).
    ///
    /// `RedisStore` learns of an end within milliseconds by a push of the server, and within 5 seconds where pushes
    /// are lost or not allowed. While nothing changes, the store is not asked.
    ///
    /// A session that is not stored counts as ended, and so does one that this request has lost, because it came with
    /// an id that a renewal had replaced. Don't await it in the handler that begins the session (nothing is stored
    /// yet, so it answers at once); await it in `on_upgrade`'s callback or in the stream.
    ///
    /// ```
    /// use session_store::{Ended, Error, Session};
    ///
    /// # async fn next_message() -> Option<String> { None }
    /// async fn serve(session: Session<String>) -> Result<(), Error> {
    ///     let mut ended = std::pin::pin!(session.ended());
    ///     loop {
    ///         tokio::select! {
    ///             end = &mut ended => {
    ///                 let reason = if end? == Ended::Expired { "session expired" } else { "signed out" };
    ///                 println!("closing: {reason}");
    ///                 return Ok(());
    ///             }
    ///             message = next_message() => match message {
    ///                 Some(message) => println!("{message}"),
    ///                 None => return Ok(()),
    ///             },
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the store has no [`feed`](crate::SessionStore::feed); [`Error::Refused`] if it does
    /// not allow reading the session.
    pub async fn ended(&self) -> Result<Ended, Error> {
        let known = self.0.state().read(|state| match &state.stored {
            StoredState::Live { id, record } | StoredState::Renewed { id, record } => {
                Some((id.key(), record.owner.clone()))
            }
            // Who came with an old id is told nothing of the session that has another by now (SECURITY 7).
            StoredState::New { .. }
            | StoredState::Moved { .. }
            | StoredState::Unproven { .. }
            | StoredState::Ended => None,
        });
        let Some((key, owner)) = known else { return Ok(Ended::SignedOut) };
        self.0.manager.ended(key, owner).await
    }
}

impl<T: SessionData> SessionManager<T> {
    /// Waits until the session of `key` ends, as [`Session::ended`] does: for a task that has the key, and no request.
    ///
    /// # Errors
    ///
    /// Those of [`Session::ended`].
    ///
    /// ```
    /// use session_store::Ended;
    ///
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// let key = session.start().await?;
    /// let watching = tokio::spawn({
    ///     let (manager, key) = (manager.clone(), key.clone());
    ///     async move { manager.ended(&key).await }
    /// });
    /// manager.revoke(&key).await?;
    /// assert_eq!(watching.await.expect("it does not panic")?, Ended::SignedOut);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ended(&self, key: &SessionKey) -> Result<Ended, Error> {
        self.0.ended(key.clone(), None).await
    }
}

impl<T> Inner<T> {
    /// `owner` is who is signed in, if anybody is known to be.
    async fn ended(&self, mut key: SessionKey, mut owner: Option<Owner>) -> Result<Ended, Error> {
        let mut watch = self.store.watch_key(&key)?;
        let mut known_end = None;
        let [first_pause, longest_pause] = PAUSES;
        let mut pause = first_pause;
        loop {
            let found = self.store.find(&key).await;
            let now = self.clock.now();
            match found {
                Ok(Some((present, record))) => {
                    let end = self.end_of(&record);
                    if end <= now {
                        return Ok(Ended::Expired);
                    }
                    if owner.is_some() && record.owner != owner {
                        return Ok(Ended::SignedOut);
                    }
                    owner = record.owner;
                    known_end = Some(end);
                    pause = first_pause;
                    if present == key {
                        let _in_time = timeout(end.saturating_since(now), watch.changed()).await;
                    } else {
                        // It may have changed before it was watched.
                        watch = self.store.watch_key(&present)?;
                        key = present;
                    }
                }
                Ok(None) | Err(Error::Corrupt { .. }) => {
                    let is_past = known_end.is_some_and(|end| end <= now);
                    return Ok(if is_past { Ended::Expired } else { Ended::SignedOut });
                }
                Err(Error::Unavailable { .. } | Error::NewerFormat { .. }) => {
                    let _in_time = timeout(pause, watch.changed()).await;
                    pause = (2 * pause).min(longest_pause);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

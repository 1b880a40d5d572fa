//! What a manager has to be like for its sessions to be shared with Express, and what handlers may have to know.

use super::state::StoredState;
use super::{Session, SessionData};
use crate::codec::Codec;
use crate::cookie::CheckedCookie;
use crate::cookie::signing::Signer;
use crate::error::Error;
use crate::id::SessionId;
use crate::store::redis::layout::express::check_data;

/// Found out now, it is a mistake; found out later, everybody who comes from Express is a stranger.
pub(super) fn check<T: SessionData>(
    cookie: &CheckedCookie,
    layout: &CheckedCookie,
    signer: &Signer,
    codec: Codec,
) -> Result<(), Error> {
    if let Some(attribute) = cookie.difference(layout) {
        return Err(Error::Config(format!(
            "the manager's cookie and that of the store's ExpressLayout differ in {attribute}: give the layout \
             the Express service's cookie, and the manager the same one or none"
        )));
    }
    if !signer.knows_express() {
        return Err(Error::Config(
            "the store shares its sessions with Express, but no key of the manager verifies Express' cookies: \
             build it with `KeyRing::express(secret)`"
                .to_owned(),
        ));
    }
    let data = codec.encode(&T::default())?;
    check_data(&data).map_err(|error| Error::Config(error.to_string()))
}

impl<T: SessionData> Session<T> {
    /// The id of the stored session in Express' layout: Node's `req.sessionID`, which an application may use as a key
    /// in its own tables. `None` while nothing is stored, and in any other layout, where [`key`](Self::key) is the
    /// safer choice.
    ///
    /// The id is a credential: its holder is the visitor. A sign-in or renewal changes it once the response is ready,
    /// or at a [`save`](Self::save).
    ///
    /// ```
    /// # async fn uploads_of(_: &str) -> u32 { 0 }
    /// # use session_store::{Error, Session};
    /// async fn uploads(session: Session) -> Result<u32, Error> {
    ///     match session.express_id() {
    ///         Some(id) => Ok(uploads_of(id.as_str()).await),
    ///         None => Ok(0),
    ///     }
    /// }
    /// ```
    pub fn express_id(&self) -> Option<SessionId> {
        self.0.state().read(|state| match &state.stored {
            StoredState::Live { id, .. } => Some(id.clone()).filter(SessionId::is_foreign),
            _ => None,
        })
    }
}

//! Whose session it is, and under which id.

use super::state::NewId;
use super::{Session, SessionData};
use crate::error::Error;
use crate::record::{Label, Owner};

impl<T: SessionData> Session<T> {
    /// Signs `owner` in: changes the data by `change`, and gives the session a new id and a new
    /// beginning when the response is ready. The old id stops working (OWASP ASVS 7.2.4).
    ///
    /// What the visitor collected before stays, such as a cart, unless it was somebody else's: where
    /// another owner was signed in, `change` begins with `T::default()`. If the old session was ended
    /// meanwhile, the sign-in gets a session of its own.
    ///
    /// ```
    /// # use session_store::{Error, Expiry, Session};
    /// # use std::time::Duration;
    /// async fn signed_in(session: Session, user: &str, remember_me: bool) -> Result<(), Error> {
    ///     session.sign_in(user, |values| values.insert("theme", "dark"))??;
    ///     if remember_me {
    ///         session.set_expiry(Expiry::idle(Duration::from_secs(30 * 24 * 3600)))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Tokens against cross-site request forgery
    ///
    /// A token that the data holds must not survive from before the sign-in: whoever put the visitor into a
    /// session of their own, or read a page before the visitor signed in, knows it. So draw a new one in
    /// `change`, as for everything else that was given to a stranger:
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use session_store::{Error, Session};
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// struct Account {
    ///     cart: Vec<String>,
    ///     csrf_token: String,
    /// }
    ///
    /// /// `new_token` comes from the generator of the operating system, as of the crate `getrandom`.
    /// async fn signed_in(session: Session<Account>, user: &str, new_token: String) -> Result<(), Error> {
    ///     session.sign_in(user, |account| account.csrf_token = new_token)
    /// }
    /// ```
    ///
    /// An application that checks `Sec-Fetch-Site` or `Origin` needs no token.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name that [`Owner::new`] refuses.
    pub fn sign_in<R>(&self, owner: impl AsRef<str>, change: impl FnOnce(&mut T) -> R) -> Result<R, Error> {
        let (owner, codec) = (Owner::new(owner)?, self.0.manager.codec);
        self.open(|state| {
            state.begin_as(codec, &owner)?;
            state.intent.new_id = NewId::SignIn(owner);
            state.change(codec, change)
        })
    }

    /// Names the owner of a session that goes on as it is, but for a new id when the response is ready:
    /// for sessions whose users signed in before the application named owners, or elsewhere (in Express).
    /// Whoever signs in now is better served by [`sign_in`](Self::sign_in), which starts the absolute
    /// timeout again.
    ///
    /// A visitor without a session gets one. A session that ended meanwhile is not created again: the
    /// response is a 409.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name that [`Owner::new`] refuses;
    /// [`Error::Config`] for a session of another owner: its data is nobody else's.
    pub fn set_owner(&self, owner: impl AsRef<str>) -> Result<(), Error> {
        let owner = Owner::new(owner)?;
        self.open(|state| {
            if state.data_owner().is_some_and(|present| *present != owner) {
                return Err(Error::Config(
                    "the session has another owner: `sign_in` begins a session for this one".to_owned(),
                ));
            }
            if state.owner().is_none() {
                state.intent.new_id = NewId::SetOwner(owner);
            }
            Ok(())
        })
    }

    /// What to call this session where its owner's sessions are listed: a device, an address. Stored when
    /// the response is ready, if there is a session to store, and kept until somebody else signs in.
    /// Holds [`Label::MAX_LENGTH`] bytes; a longer text, such as some `User-Agent` headers, is cut between two
    /// characters. An empty one asks for nothing: the label stays as it is.
    ///
    /// ```
    /// # use session_store::{Error, Session};
    /// async fn signed_in(session: Session, user: &str, device: &str) -> Result<(), Error> {
    ///     session.sign_in(user, |_| ())?;
    ///     session.set_label(device)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Conflict::Committed`](crate::Conflict::Committed) after the response.
    pub fn set_label(&self, label: impl AsRef<str>) -> Result<(), Error> {
        let label = Label::truncated(label.as_ref());
        self.open(|state| {
            state.intent.label = label.or(state.intent.label.take());
            Ok(())
        })
    }

    /// Gives the session a new id when the response is ready, and keeps the rest: to be called when
    /// the visitor's privileges change.
    ///
    /// A session that ended meanwhile is not created again: the response is a 409.
    pub fn renew(&self) -> Result<(), Error> {
        self.open(|state| {
            if matches!(state.intent.new_id, NewId::Unasked) {
                state.intent.new_id = NewId::Renew;
            }
            Ok(())
        })
    }

    /// Who is signed in, counting a sign-in of this request.
    pub fn owner(&self) -> Option<Owner> {
        self.0.state().read(|state| state.owner().cloned())
    }

    /// What the session is called, counting a label of this request.
    pub fn label(&self) -> Option<Label> {
        self.0.state().read(|state| state.intent.label.as_ref().or(state.label()).cloned())
    }
}

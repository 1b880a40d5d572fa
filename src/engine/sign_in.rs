//! Whose session it is, and under which id.

use super::state::NewId;
use super::{Session, SessionData};
use crate::error::Error;
use crate::record::{Label, Owner};

impl<T: SessionData> Session<T> {
    /// Signs `owner` in: changes the data by `change`, and gives the session a new id and a new
    /// beginning when the response is ready. The old id stops working (OWASP ASVS 7.2.4).
    ///
    /// Data collected before, such as a cart, stays, unless it was somebody else's: a sign-in over another
    /// user's session begins with `T::default()`. If the old session was ended meanwhile, the sign-in gets a session of
    /// its own.
    ///
    /// ```
    /// # use session_store::{Error, Expiry, Session};
    /// # use std::time::Duration;
    /// async fn signed_in(session: Session, user: &str, remember_me: bool) -> Result<(), Error> {
    ///     session.sign_in(user, |values| values.insert("theme", "dark"))??;
    ///     if remember_me {
    ///         let day = Duration::from_secs(24 * 3600);
    ///         session.set_expiry(Expiry::idle(30 * day).absolute(90 * day))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Tokens against cross-site request forgery
    ///
    /// A token in the data must not survive a sign-in: an attacker who put the visitor into the attacker's own
    /// session, or read a page before the visitor signed in, knows it. So draw a new one in `change`, and likewise
    /// for everything else that was given to a stranger:
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

    /// Names the owner of a session that otherwise goes on as it is, under a new id when the response is ready: for
    /// sessions whose users signed in before the application named owners, or elsewhere (in Express). For a user
    /// who signs in now, call [`sign_in`](Self::sign_in), which also restarts the absolute timeout.
    ///
    /// A visitor without a session gets one. A session that ended meanwhile is not created again: the
    /// response is a 409.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name that [`Owner::new`] refuses;
    /// [`Error::Config`] for a session of another owner, since its data belongs to that owner.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.insert("user", "ada")?;
    /// # session.save().await?;
    /// // The data has told since the last release who is signed in, and the index of owners knows of nobody yet.
    /// if let (Some(user), None) = (session.get::<String>("user"), session.owner()) {
    ///     session.set_owner(user)?;
    /// }
    /// session.save().await?;
    /// assert_eq!(manager.sessions_of("ada").await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_owner(&self, owner: impl AsRef<str>) -> Result<(), Error> {
        let owner = Owner::new(owner)?;
        self.open(|state| {
            if state.data_owner().is_some_and(|present| *present != owner) {
                return Err(Error::Config(
                    "the session has another owner: call `sign_in` to begin a session for this one"
                        .to_owned(),
                ));
            }
            if state.owner().is_none() {
                state.intent.new_id = NewId::SetOwner(owner);
            }
            Ok(())
        })
    }

    /// Sets the name of this session in the list of its owner's sessions: a device, an address. Stored when the
    /// response is ready, if there is a session to store, and kept until somebody else signs in. Takes
    /// [`Label::MAX_LENGTH`] bytes; a longer text, such as some `User-Agent` headers, is cut between two
    /// characters. An empty one has no effect: the label stays as it is.
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

    /// Gives the session a new id when the response is ready, and keeps the rest: call it when the visitor's
    /// privileges change.
    ///
    /// A session that ended meanwhile is not created again: the response is a 409.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let request = manager.begin(None);
    /// # request.session().await?.start().await?;
    /// # let cookie = request.finish(200).await.set_cookie.expect("a session began");
    /// # let request = manager.begin(Some(&cookie));
    /// # let session = request.session().await?;
    /// // The user has entered a second factor.
    /// session.insert("may_administrate", true)?;
    /// session.renew()?;
    ///
    /// // The cookie from before opens nothing any more.
    /// let new_cookie = request.finish(200).await.set_cookie.expect("the id is new");
    /// assert!(manager.begin(Some(&cookie)).session().await?.is_new());
    /// assert_eq!(manager.begin(Some(&new_cookie)).session().await?.get("may_administrate"), Some(true));
    /// # Ok(())
    /// # }
    /// ```
    pub fn renew(&self) -> Result<(), Error> {
        self.open(|state| {
            if matches!(state.intent.new_id, NewId::Unasked) {
                state.intent.new_id = NewId::Renew;
            }
            Ok(())
        })
    }

    /// The owner of the session: the user who is signed in, counting a sign-in of this request.
    ///
    /// ```
    /// use session_store::{Error, Session};
    ///
    /// async fn account(session: Session) -> Result<String, Error> {
    ///     let Some(owner) = session.owner() else { return Ok("Please sign in.".to_owned()) };
    ///     Ok(format!("Signed in as {}.", owner.as_str()))
    /// }
    /// ```
    pub fn owner(&self) -> Option<Owner> {
        self.0.state().read(|state| state.owner().cloned())
    }

    /// The session's label, counting one set by this request.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// session.sign_in("ada", |_| ())?;
    /// session.set_label("Firefox on Linux")?;
    /// assert_eq!(session.label().unwrap().as_str(), "Firefox on Linux");
    /// # Ok(())
    /// # }
    /// ```
    pub fn label(&self) -> Option<Label> {
        self.0.state().read(|state| state.intent.label.as_ref().or(state.label()).cloned())
    }
}

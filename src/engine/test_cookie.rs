//! Visitors for the tests of an application.

use super::{SessionData, SessionManager};
use crate::error::Error;

impl<T: SessionData> SessionManager<T> {
    /// Stores a session and returns the `Cookie` header of its visitor: signed in as `owner`, unless that is `None`,
    /// and with the data that `write` leaves. For the tests of an application, which then skip its sign-in.
    ///
    /// The page `testing` of the documentation has whole tests.
    ///
    /// ```
    /// use session_store::{Error, KeyRing, MemoryStore, SessionManager, Values};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let cookie = manager.test_cookie("ada", |values| _ = values.insert("theme", "dark")).await?;
    ///
    /// let request = manager.begin(Some(&cookie));
    /// assert_eq!(request.session().await?.owner().unwrap().as_str(), "ada");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Error::InvalidInput`] for a name that [`Owner::new`](crate::Owner::new) refuses.
    pub async fn test_cookie<'a>(
        &self,
        owner: impl Into<Option<&'a str>>,
        write: impl FnOnce(&mut T),
    ) -> Result<String, Error> {
        let request = self.begin(None);
        let session = request.session().await?;
        match owner.into() {
            Some(owner) => session.sign_in(owner, write)?,
            None => session.write(write)?,
        }
        // Also where nothing was written.
        session.start().await?;
        let actions = request.finish(200).await;
        match actions.failure {
            Some(error) => Err(error),
            None => {
                let cookie = actions.set_cookie.expect("a session that was started has a cookie");
                Ok(cookie.split(';').next().unwrap_or_default().to_owned())
            }
        }
    }
}

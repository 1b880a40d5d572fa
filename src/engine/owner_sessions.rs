//! Whose sessions there are, and how they are ended.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};

use super::store_client::OwnerSessions;
use super::{Session, SessionData, SessionManager};
use crate::error::{Conflict, Error};
use crate::id::SessionKey;
use crate::record::{Owner, Record};
use crate::store::Loaded;
use crate::store::owner_index::{Entry, Owned, Revocation};
use crate::store::scan::{Cursor, Page, SessionSummary};
use crate::telemetry::operations::Operation;
use crate::telemetry::session_events::RevokedBy;

/// So many sessions are looked up at once.
const LOADED_AT_ONCE: usize = 64;

impl<T: SessionData> SessionManager<T> {
    /// The sessions of an owner, the latest sign-in first: for a page that shows users their devices
    /// (OWASP ASVS 7.5.2).
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<Vec<String>>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let request = manager.begin(None);
    /// let session = request.session().await?;
    /// session.sign_in("ada", |_| ())?;
    /// session.set_label("Firefox on Linux")?;
    /// session.save().await?;
    ///
    /// let devices = manager.sessions_of("ada").await?;
    /// assert_eq!(devices[0].label.as_ref().map(|label| label.as_str()), Some("Firefox on Linux"));
    /// assert_eq!(manager.revoke_all("ada").await?, 1);
    /// assert!(manager.sessions_of("ada").await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// To end the one that [is the request's own](SessionSummary::is_current), call [`Session::destroy`]: it removes
    /// the cookie too.
    ///
    /// All of them are in memory at once, about 200 bytes each; if an owner may have a great many, go
    /// through them with [`page_of`](Self::page_of).
    ///
    /// # Errors
    ///
    /// Those of the store; [`Error::Unsupported`] where it keeps no index of owners; [`Error::InvalidInput`] for
    /// a name that [`Owner::new`] refuses.
    pub async fn sessions_of(&self, owner: impl AsRef<str>) -> Result<Vec<SessionSummary>, Error> {
        let owner = owner.as_ref();
        let (mut sessions, mut after) = (HashMap::new(), None);
        loop {
            let page = self.page_of(owner, after.as_ref()).await?;
            sessions.extend(page.sessions.into_iter().map(|session| (session.key.clone(), session)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut sessions: Vec<_> = sessions.into_values().collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.created_at));
        Ok(sessions)
    }

    /// A page of an owner's sessions, up to 1,000, in the order in which they end: the first one, or the one `after`
    /// another. A session that exists throughout is on at least one page, and may be on two. The page's `next` is
    /// `None` at the end.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let mut after = None;
    /// loop {
    ///     let page = manager.page_of("backup-robot", after.as_ref()).await?;
    ///     for session in &page.sessions {
    ///         println!("{}", session.key);
    ///     }
    ///     after = page.next;
    ///     if after.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`sessions_of`](Self::sessions_of), and [`Error::InvalidInput`] for a cursor that this store did not issue.
    pub async fn page_of(&self, owner: impl AsRef<str>, after: Option<&Cursor>) -> Result<Page, Error> {
        let owner = Owner::new(owner)?;
        let Owned { entries, next, .. } = self.indexed(&owner)?.page(after).await?;
        let records = entries.into_iter().map(|Entry { key, .. }| async {
            let record = self.live(&key).await;
            (key, record)
        });
        let mut records = stream::iter(records).buffer_unordered(LOADED_AT_ONCE);
        let mut page = Page { progress: if next.is_none() { 1.0 } else { 0.0 }, next, ..Page::default() };
        while let Some((key, record)) = records.next().await {
            // An entry may be of a session that was never written, or is somebody else's by now.
            if let Some(record) = record?.filter(|record| record.owner.as_ref() == Some(&owner)) {
                page.sessions.push(SessionSummary::new(key, &record));
            }
        }
        Ok(page)
    }

    /// Ends a session, for every request that comes with its id, in flight or later; the next one is
    /// anonymous. Returns whether it was there: `false` if it had ended by itself.
    ///
    /// The browser keeps its cookie. For the request's own session, where
    /// [`is_current`](SessionSummary::is_current) says so, call [`Session::destroy`], which removes it.
    ///
    /// # Errors
    ///
    /// Those of the store.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.sign_in("ada", |_| ())?;
    /// # session.save().await?;
    /// // "Sign out this device", from the list of a user's sessions. The key comes from a form: only the user's own
    /// // sessions are looked up with it.
    /// let form = session.key().unwrap().to_string();
    /// let sessions = manager.sessions_of("ada").await?;
    /// let device = sessions.iter().find(|device| device.key.to_string() == form).expect("it is in the list");
    /// assert!(manager.revoke(&device.key).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn revoke(&self, key: &SessionKey) -> Result<bool, Error> {
        let store = &self.0.store;
        let revoking = async { store.revoke(key, self.0.clock.now(), RevokedBy::One).await.map(u64::from) };
        Ok(store.watch(Operation::Revoke, Some(key), revoking).await? > 0)
    }

    /// Ends all sessions of an owner that were signed in before this call, whatever happens to them meanwhile, and
    /// returns how many there were (OWASP ASVS 7.4.2).
    ///
    /// It goes by the index of owners. If that may have been lost or evicted, as by a cache's eviction policy or the
    /// failure of a master, [`revoke_all_thoroughly`](Self::revoke_all_thoroughly) also looks at every session of the
    /// store.
    ///
    /// # Errors
    ///
    /// As [`sessions_of`](Self::sessions_of) where nothing was ended. Once all sessions are marked, which takes
    /// one step for any number of them, [`Error::Unfinished`]: the store failed, or not all were deleted
    /// within the [time](crate::SessionManagerBuilder::revoke_within). The remaining ones cannot be extended or get
    /// a new id, and are deleted by the next operation on this owner's sessions; repeat the call.
    ///
    /// ```
    /// use session_store::Error;
    ///
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.sign_in("ada", |_| ())?;
    /// # session.save().await?;
    /// // An account is locked.
    /// match manager.revoke_all("ada").await {
    ///     Ok(ended) => assert_eq!(ended, 1),
    ///     // All of them are marked, and none can be used for long; the rest goes with another call.
    ///     Err(Error::Unfinished { ended, .. }) => println!("{ended} sessions ended so far"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn revoke_all(&self, owner: impl AsRef<str>) -> Result<u64, Error> {
        let owner = Owner::new(owner)?;
        self.revoke_in(self.indexed(&owner)?, Revocation::All).await
    }

    /// Ends all other sessions of the user who is signed in with this one (OWASP ASVS 7.4.3): for after a change of
    /// the password. Returns how many there were; 0 for a session without an owner.
    ///
    /// # Errors
    ///
    /// As [`revoke_all`](Self::revoke_all).
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.sign_in("ada", |_| ())?;
    /// # session.save().await?;
    /// # let laptop = manager.begin(None).session().await?;
    /// # laptop.sign_in("ada", |_| ())?;
    /// # laptop.save().await?;
    /// // The password is changed: every other device has to sign in again.
    /// session.renew()?;
    /// assert_eq!(manager.revoke_others(&session).await?, 1);
    /// assert_eq!(manager.sessions_of("ada").await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn revoke_others(&self, session: &Session<T>) -> Result<u64, Error> {
        let Some(owner) = session.owner() else { return Ok(0) };
        let sessions = self.indexed(&owner)?;
        let entry = session.entry();
        // Whoever holds on to a session that was ended elsewhere, by a copy of it, must not end the others.
        if let Some(entry) = entry.as_ref().filter(|_| !self.0.oldest_copy.is_zero())
            && self.live(&entry.key).await?.is_none()
        {
            return Err(Conflict::Ended.into());
        }
        match entry {
            Some(entry) => self.revoke_in(sessions, Revocation::AllBut(&entry)).await,
            None => self.revoke_in(sessions, Revocation::All).await,
        }
    }

    async fn revoke_in(&self, sessions: OwnerSessions<'_>, which: Revocation<'_>) -> Result<u64, Error> {
        let revoking = sessions.revoke(which, self.0.revoke_within);
        self.0.store.watch(Operation::RevokeAll, None, revoking).await
    }

    fn indexed<'a>(&'a self, owner: &'a Owner) -> Result<OwnerSessions<'a>, Error> {
        let what = "list sessions by owner";
        self.0.store.sessions_of(owner, self.0.clock.now()).ok_or(Error::Unsupported { what })
    }

    /// The record of `key`, if that is a session which has not ended.
    async fn live(&self, key: &SessionKey) -> Result<Option<Record>, Error> {
        match self.0.store.look_up(key).await {
            Ok(Loaded::Found(record)) if !self.0.has_ended(&record) => Ok(Some(record)),
            Ok(_) => Ok(None),
            Err(error) if error.is_about_the_record() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

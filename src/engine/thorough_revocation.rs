//! The end of an owner's sessions, also of those that the index of owners does not know.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use futures_util::StreamExt as _;

use super::all_sessions::OnProgress;
use super::{SessionData, SessionManager};
use crate::error::Error;
use crate::record::Owner;
use crate::store::owner_index::{MARGIN, Revocation};
use crate::telemetry::operations::Operation;
use crate::telemetry::session_events::RevokedBy;

/// Ends an owner's sessions when awaited; made by
/// [`SessionManager::revoke_all_thoroughly`](crate::SessionManager::revoke_all_thoroughly).
#[must_use = "nothing ends unless this is awaited"]
pub struct ThoroughRevocation<T: SessionData> {
    manager: SessionManager<T>,
    owner: Result<Owner, Error>,
    on_progress: Option<OnProgress>,
}

impl<T: SessionData> SessionManager<T> {
    /// Ends an owner's sessions as [`revoke_all`](Self::revoke_all) does, then goes through all sessions of the store
    /// for those that the index of owners does not (or no longer) know. As clocks of hosts may differ, it also ends
    /// sessions signed in within five seconds after the call. Records of a newer version of this crate are not looked at.
    ///
    /// # Errors
    ///
    /// Those of the store; [`Error::Unsupported`] where it has no [`scan`](crate::SessionStore::scan).
    /// Without an index, a session that is given a new id meanwhile may be missed.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.sign_in("ada", |_| ())?;
    /// # session.save().await?;
    /// // After Redis has lost keys to its eviction policy: slower, and sure.
    /// assert_eq!(manager.revoke_all_thoroughly("ada").await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn revoke_all_thoroughly(&self, owner: impl AsRef<str>) -> ThoroughRevocation<T> {
        ThoroughRevocation { manager: self.clone(), owner: Owner::new(owner), on_progress: None }
    }
}

impl<T: SessionData> ThoroughRevocation<T> {
    /// Calls `callback` after each page with the number of sessions looked at so far, whoever's they are, and about which
    /// share of the store that is, from 0 to 1.
    ///
    /// ```
    /// # async fn ended(manager: session_store::SessionManager) -> Result<u64, session_store::Error> {
    /// let revocation = manager.revoke_all_thoroughly("ada");
    /// revocation.on_progress(|_, share| println!("{:.0} % of the store seen", share * 100.0)).await
    /// # }
    /// ```
    pub fn on_progress(mut self, callback: impl FnMut(u64, f64) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    async fn run(self) -> Result<u64, Error> {
        let (manager, owner) = (self.manager, self.owner?);
        let (store, began) = (&manager.0.store, manager.0.clock.now());
        // By the clock of whichever host signed it in.
        let is_meant = |created_at| created_at <= began.saturating_add(MARGIN);
        let indexed = store.sessions_of(&owner, began);
        let mut ended = match &indexed {
            Some(indexed) => indexed.revoke(Revocation::All, manager.0.revoke_within).await?,
            None => 0,
        };
        let mut sessions = manager.sessions();
        if let Some(on_progress) = self.on_progress {
            sessions = sessions.on_progress(on_progress);
        }
        while let Some(session) = sessions.next().await {
            let session = session?;
            if session.owner.as_ref() == Some(&owner) && is_meant(session.created_at) {
                ended += u64::from(store.revoke(&session.key, manager.0.clock.now(), RevokedBy::All).await?);
            }
        }
        // One that got a new id while this went through the store is in the index by now.
        if let Some(indexed) = indexed {
            let mut after = None;
            loop {
                let page = indexed.page(after.as_ref()).await?;
                for entry in page.entries.iter().filter(|entry| is_meant(entry.created_at)) {
                    ended += u64::from(indexed.revoke_one(entry, None, RevokedBy::All).await?);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(ended)
    }
}

impl<T: SessionData> IntoFuture for ThoroughRevocation<T> {
    type Output = Result<u64, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let store = self.manager.0.store.clone();
        Box::pin(async move { store.watch(Operation::RevokeAll, None, self.run()).await })
    }
}

impl<T: SessionData> fmt::Debug for ThoroughRevocation<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThoroughRevocation").field("owner", &self.owner).finish_non_exhaustive()
    }
}

//! What happened to each owner's sessions: having it recorded, reading it, and erasing it.

mod recorder;

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use super::{SessionData, SessionManager, SessionManagerBuilder};
use crate::error::Error;
use crate::record::Owner;
use crate::store::history::{HistoryBounds, HistoryEntry};

pub(super) use self::recorder::Recorder;

/// How long a reader waits for what this instance is recording.
const SETTLES_WITHIN: Duration = Duration::from_millis(250);

impl<T: SessionData> SessionManagerBuilder<T> {
    /// Has a history kept of what happens to the sessions of each owner, within these bounds: when and from which
    /// device somebody signed in, and what ended the session (OWASP ASVS 7.5.2). Default: none is kept.
    /// [`from_env`](SessionManager::from_env) takes the bounds from `SESSION_HISTORY` and `SESSION_HISTORY_AGE`.
    ///
    /// It is personal data: the page `devices` of the documentation says what is kept, for how long, and how it is erased.
    ///
    /// An entry is recorded in the background, by the instance that did what it tells; no response waits for it. While
    /// the store is away, entries wait for up to a minute, 8,192 at most. What is lost is counted by
    /// [`Counts::history_lost`](crate::Counts::history_lost). The end of a session that nobody comes with again, and
    /// that the store removes when its time is over, is not recorded.
    ///
    /// ```
    /// use session_store::{HistoryBounds, HistoryEvent, KeyRing, MemoryStore, SessionManager, Values};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let month = Duration::from_secs(30 * 24 * 3600);
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .history(HistoryBounds::default().entries(50).age(month))
    ///     .build()?;
    ///
    /// let session = manager.begin(None).session().await?;
    /// session.sign_in("ada", |_| ())?;
    /// session.set_label("Firefox on Linux")?;
    /// session.save().await?;
    /// session.destroy().await?;
    ///
    /// let history = manager.history_of("ada").await?;
    /// assert_eq!(history[0].what, HistoryEvent::SignedOut);
    /// assert_eq!(history[1].label.as_ref().map(|label| label.as_str()), Some("Firefox on Linux"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn history(mut self, bounds: HistoryBounds) -> Self {
        self.history = Some(bounds);
        self
    }
}

impl<T: SessionData> SessionManager<T> {
    /// What happened to the sessions of an owner, newest first, within the bounds of the builder's
    /// [`history`](SessionManagerBuilder::history), which has an example. A manager that records none reads all that
    /// others have recorded.
    ///
    /// What this instance has seen before is included, unless the store is slow to record it.
    ///
    /// # Errors
    ///
    /// Those of the store; [`Error::Unsupported`] where it keeps no history; [`Error::InvalidInput`] for a name that
    /// [`Owner::new`] refuses.
    pub async fn history_of(&self, owner: impl AsRef<str>) -> Result<Vec<HistoryEntry>, Error> {
        let owner = Owner::new(owner)?;
        let _late_ones_are_missing = timeout(SETTLES_WITHIN, self.0.telemetry().flush_history()).await;
        let bounds = self.0.history.unwrap_or(HistoryBounds::WIDEST);
        self.0.store.history_of(&owner, bounds, self.0.clock.now()).await
    }

    /// Ends all sessions of an owner, as [`revoke_all`](Self::revoke_all) does, and erases their history: for when an
    /// account is deleted (GDPR, article 17). Says what there was.
    ///
    /// Lock the account first: who signs in after this is an owner like any other. Entries that other instances are about to
    /// record are kept out for a minute. The entries' copies in backups, and what was told to [listeners](SessionManagerBuilder::on_event) and
    /// to the audit log, are the application's to erase.
    ///
    /// # Errors
    ///
    /// Those of [`revoke_all`](Self::revoke_all), and of the store. Repeat the call: with
    /// [`Error::Unfinished`], the history is erased, and sessions are left.
    ///
    /// ```
    /// # use session_store::{HistoryBounds, KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    /// #     .history(HistoryBounds::default())
    /// #     .build()?;
    /// # let session = manager.begin(None).session().await?;
    /// # session.sign_in("ada", |_| ())?;
    /// # session.save().await?;
    /// let forgotten = manager.forget("ada").await?;
    /// assert_eq!((forgotten.sessions, forgotten.entries), (1, 2));
    /// assert!(manager.history_of("ada").await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn forget(&self, owner: impl AsRef<str>) -> Result<Forgotten, Error> {
        let owner = Owner::new(owner)?;
        let ended = self.revoke_all(&owner).await;
        let _late_ones_are_kept_out = timeout(SETTLES_WITHIN, self.0.telemetry().flush_history()).await;
        let entries = match self.0.store.forget_history(&owner, self.0.clock.now()).await {
            Err(Error::Unsupported { .. }) => 0,
            erased => erased?,
        };
        Ok(Forgotten { sessions: ended?, entries })
    }
}

/// What there was of an owner, from [`SessionManager::forget`], which has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Forgotten {
    /// Sessions that were ended.
    pub sessions: u64,
    /// Entries of the history that were erased, those of the sessions' ends included.
    pub entries: u64,
}

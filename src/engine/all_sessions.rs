//! All of a manager's sessions: counting, listing and ending them.

use std::sync::Arc;

use super::{SessionData, SessionManager};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
#[cfg(doc)]
use crate::store::SessionStore;
use crate::store::scan::{Page, Usage};

mod clear;
mod histories;
mod pages;
mod scan;
mod tidy;

pub use clear::Clearing;
pub use histories::HistoryScan;
pub(super) use pages::OnProgress;
pub use scan::SessionScan;
pub use tidy::{Tidied, Tidying};

use pages::{DEFAULT_RATE, Paged, Pages};

impl<T: SessionData> SessionManager<T> {
    /// Streams all sessions of the store as [`SessionSummary`](crate::SessionSummary)s: for a list, an export, a
    /// statistic.
    ///
    /// # Errors
    ///
    /// In the stream: those of the store, and [`Error::Unsupported`] for one that has no
    /// [`scan`](SessionStore::scan).
    ///
    /// ```
    /// use futures_util::TryStreamExt as _;
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let mut sessions = manager.sessions();
    /// while let Some(session) = sessions.try_next().await? {
    ///     println!("{} was last seen at {:?}", session.key, session.last_seen());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn sessions(&self) -> SessionScan {
        SessionScan::new(self.pages().without_duplicates())
    }

    /// Counts the sessions exactly, by going through all of them. One that begins, ends or gets a new id meanwhile may
    /// be counted or not. [`usage`](Self::usage) estimates the number in no time.
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Error::Unsupported`] for one that has no [`scan`](SessionStore::scan).
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// assert_eq!(manager.count_sessions().await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn count_sessions(&self) -> Result<u64, Error> {
        let mut pages = self.pages::<Page>().without_duplicates();
        let mut count = 0;
        while let Some(page) = pages.next().await? {
            count += page.sessions.len() as u64;
        }
        Ok(count)
    }

    /// Ends all sessions of the store, and returns how many there were. Those of another store, with another prefix
    /// in the same Redis, are not touched.
    ///
    /// [`Clearing`] tells what holds while requests come in.
    ///
    /// # Errors
    ///
    /// Those of the store; it stops at the first, with some sessions ended, and can be repeated.
    /// [`Error::Unsupported`] for a store that has no [`scan`](SessionStore::scan).
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let ended = manager.revoke_everyone().on_progress(|ended, share| println!("{ended}, {share:.2}")).await?;
    /// assert_eq!(ended, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn revoke_everyone(&self) -> Clearing {
        Clearing::new(self.pages())
    }

    /// Estimates the number of sessions and the bytes that one takes, and tells how much memory there is.
    ///
    /// # Errors
    ///
    /// Those of the store, and [`Error::Unsupported`] for one that has no [`scan`](SessionStore::scan).
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let usage = manager.usage().await?;
    /// println!("{:.0} sessions, give or take {:.0}", usage.sessions, usage.error);
    /// if let (Some(used), Some(limit)) = (usage.used_bytes, usage.limit_bytes) {
    ///     println!("{} % of the memory is in use", 100 * used / limit);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn usage(&self) -> Result<Usage, Error> {
        self.0.store.usage().await
    }

    /// Rewrites sessions that are stored in another form than this manager's present one: plain or sealed, by which key,
    /// compressed or not. For after sealing or compression was rolled out, or before a seal key
    /// retires; `session-store tidy` does it from outside. Sessions that are used are written in the present form by
    /// themselves, at their next change.
    ///
    /// Then it removes entries of the index of owners whose sessions ended without the index being told: by another program
    /// that deletes keys, or by Redis, where it evicts them. Such entries end by time otherwise; until then they take memory,
    /// and are counted among the owner's sessions in [`SessionsPerOwner`](crate::SessionsPerOwner). An index goes with its last
    /// entry. What stays are entries of sessions that are about to be written, or to get a new id, and those of an owner whose
    /// sessions were all revoked within a week: one that was spared may be on its way back from the
    /// [fallback](crate::FallbackStore) of an instance.
    ///
    /// It is paced as [`max_scan_rate`](crate::SessionManagerBuilder::max_scan_rate) says, and disturbs no request: a session
    /// that is written meanwhile is left to that write. No session's end moves.
    ///
    /// # Errors
    ///
    /// Those of the store; it stops at the first, and can go on by [`Tidying::resume`]. [`Error::Unsupported`] for a store
    /// that has no [`scan`](SessionStore::scan).
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let tidied = manager.tidy().on_progress(|so_far| println!("{:.0} %", so_far.share * 100.0)).await?;
    /// println!("{} of {} sessions were in an old form", tidied.rewritten, tidied.seen);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tidy(&self) -> Tidying {
        Tidying::new(self.pages(), self.pages().without_duplicates())
    }

    /// The record of a session, for an operator's tool. Its data is opened as far as that takes no visitor's id; else it is
    /// as it is stored, as [`Payload::is_sealed`](crate::Payload::is_sealed) tells. `None` where no session has this key, or
    /// no longer.
    ///
    /// This is private data of visitors: keep it out of logs.
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
    /// # session.insert("theme", "dark")?;
    /// # session.save().await?;
    /// let key = session.key().expect("it is stored");
    /// let record = manager.record(&key).await?.expect("it is there");
    /// assert_eq!(record.data.to_json().unwrap()["theme"], "dark");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn record(&self, key: &SessionKey) -> Result<Option<Record>, Error> {
        self.0.store.describe(key).await
    }

    /// Streams the histories of all owners: for a report. Each is what the store holds, whatever its bounds.
    ///
    /// # Errors
    ///
    /// In the stream: those of the store, and [`Error::Unsupported`] for one that keeps no
    /// [`history`](SessionStore::history).
    ///
    /// ```
    /// use futures_util::TryStreamExt as _;
    /// use session_store::HistoryEvent;
    ///
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let (mut histories, mut sign_ins) = (manager.histories(), 0);
    /// while let Some(history) = histories.try_next().await? {
    ///     sign_ins += history.entries.iter().filter(|entry| entry.what == HistoryEvent::SignedIn).count();
    /// }
    /// # assert_eq!(sign_ins, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn histories(&self) -> HistoryScan {
        HistoryScan::new(self.pages().without_duplicates())
    }

    fn pages<P: Paged>(&self) -> Pages<P> {
        let pages = Pages::new(Arc::clone(&self.0.store), Arc::clone(&self.0.clock));
        match self.0.max_scan_rate {
            Some(keys_per_second) => pages.paced(keys_per_second),
            None if self.0.store.status().topology.is_some() => pages.paced(DEFAULT_RATE),
            None => pages,
        }
    }
}

//! `Clearing`: the end of all sessions.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::pages::{OnProgress, Pages, patiently};
use crate::clock::Timestamp;
use crate::engine::store_client::StoreClient;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Label, Owner};
use crate::store::owner_index::Entry;
use crate::store::scan::{Page, SessionSummary};
use crate::telemetry::operations::Operation;
use crate::telemetry::session_events::{EventKind, RevokedBy, Subject};

/// So many deletions are on their way at once.
const AT_ONCE: usize = 16;
/// It goes through the sessions so many times at most.
const MOST_ROUNDS: u32 = 5;

/// Ends all sessions when awaited; made by
/// [`SessionManager::revoke_everyone`](crate::SessionManager::revoke_everyone).
///
/// Requests may come in meanwhile. A session that begins meanwhile may end or stay. One that was there
/// before and gets a new id meanwhile is looked for again: the store is gone through again until no session is
/// left that began before, five times at most. A request in flight cannot bring a session back; at its end it
/// finds the session gone.
///
/// Values stored under the keys of sessions that cannot be read as sessions are deleted too, and counted. (Not in
/// the layout of Express, whose keys may be anything.)
///
/// ```
/// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// # let session = manager.begin(None).session().await?;
/// session.start().await?;
/// let clearing = manager.revoke_everyone().page_size(100).on_progress(|ended, share| {
///     println!("{ended} sessions ended, {:.0} % of the store seen", share * 100.0);
/// });
/// assert_eq!(clearing.await?, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing ends unless this is awaited"]
pub struct Clearing {
    pages: Pages,
    on_progress: Option<OnProgress>,
}

impl Clearing {
    pub(super) fn new(pages: Pages) -> Self {
        Self { pages, on_progress: None }
    }

    /// Sets about how many keys the store looks at for a page, as
    /// [`SessionScan::page_size`](crate::SessionScan::page_size); [example](Self).
    pub fn page_size(mut self, keys: usize) -> Self {
        self.pages.size = keys.clamp(1, Page::MAX_SIZE);
        self
    }

    /// Calls `callback` after each page with the number of sessions ended so far, and about which share of the store
    /// was looked at, from 0 to 1; [example](Self).
    pub fn on_progress(mut self, callback: impl FnMut(u64, f64) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    async fn run(mut self) -> Result<u64, Error> {
        let (began, mut ended) = (self.pages.now(), 0);
        for round in 0..MOST_ROUNDS {
            let mut found = false;
            self.pages.start_at(None);
            while let Some(page) = self.pages.next().await? {
                let is_due = |session: &SessionSummary| round == 0 || session.created_at <= began;
                let due: Vec<_> = page.sessions.into_iter().filter(is_due).map(Due::from).collect();
                found |= !due.is_empty();
                let due = due.into_iter().chain(page.unreadable.into_iter().map(Due::from));
                let of_this_page = end(self.pages.store(), due).await?;
                ended += of_this_page;
                if let Some(on_progress) = &mut self.on_progress {
                    on_progress(ended, self.pages.share());
                }
            }
            if !found {
                return Ok(ended);
            }
        }
        Err(Error::unavailable("some sessions get new ids faster than they can be found and ended", None))
    }
}

impl IntoFuture for Clearing {
    type Output = Result<u64, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let store = Arc::clone(self.pages.store());
        Box::pin(async move { store.watch(Operation::RevokeEveryone, None, self.run()).await })
    }
}

impl fmt::Debug for Clearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clearing").field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// What is to go.
struct Due {
    key: SessionKey,
    owner: Option<Owner>,
    label: Option<Label>,
    created_at: Option<Timestamp>,
}

impl From<SessionSummary> for Due {
    fn from(session: SessionSummary) -> Self {
        let SessionSummary { key, owner, label, created_at, .. } = session;
        Self { key, owner, label, created_at: Some(created_at) }
    }
}

impl From<SessionKey> for Due {
    fn from(key: SessionKey) -> Self {
        Self { key, owner: None, label: None, created_at: None }
    }
}

/// Ends sessions, some at a time, and answers how many there were.
async fn end(store: &Arc<StoreClient>, all: impl Iterator<Item = Due>) -> Result<u64, Error> {
    let mut ended = 0;
    let mut ending = JoinSet::new();
    let finished =
        |result: Result<Result<bool, Error>, _>| result.expect("stores do not panic").map(u64::from);
    for due in all {
        if ending.len() == AT_ONCE
            && let Some(result) = ending.join_next().await
        {
            ended += finished(result)?;
        }
        let store = Arc::clone(store);
        ending.spawn(async move {
            let was_there = patiently(|| store.delete(&due.key)).await?;
            if was_there {
                let subject = Subject::of(due.key.clone()).began(due.created_at);
                let subject = subject.owned_by(&due.owner).labelled(&due.label);
                store.telemetry().tell(EventKind::Revoked { by: RevokedBy::Everyone }, subject);
            }
            // An entry leaves after its session.
            if let (Some(owner), Some(created_at)) = (due.owner, due.created_at) {
                let entry = Entry { key: due.key, created_at };
                patiently(|| store.forget(&owner, &entry)).await?;
            }
            Ok(was_there)
        });
    }
    while let Some(result) = ending.join_next().await {
        ended += finished(result)?;
    }
    Ok(ended)
}

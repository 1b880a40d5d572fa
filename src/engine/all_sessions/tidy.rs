//! [`Tidying`]: rewrites sessions that are stored in an old form, and removes index entries of those that are gone.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::pages::{Pages, patiently};
use crate::engine::store_client::Rewriting;
use crate::error::Error;
use crate::store::scan::{Cursor, OwnersPage, Page};

/// So many sessions, or owners, are on their way at once.
const AT_ONCE: usize = 16;
/// What cursors begin with: that of a page of sessions, or of owners, is the rest.
const SESSIONS: &str = "s+";
const OWNERS: &str = "o+";

type OnTidied = Box<dyn FnMut(&Tidied) + Send>;

/// Rewrites sessions that are stored in another form than the manager's present one, and removes entries of the index of
/// owners whose sessions are gone; made by [`SessionManager::tidy`](crate::SessionManager::tidy), which has an example.
#[must_use = "nothing is done unless this is awaited"]
pub struct Tidying {
    sessions: Pages,
    owners: Pages<OwnersPage>,
    dry_run: bool,
    on_progress: Option<OnTidied>,
}

/// What came of a [`Tidying`], so far or in the end. Sessions that get new ids meanwhile may be counted twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Tidied {
    /// Sessions looked at.
    pub seen: u64,
    /// Sessions written in the present form; in a dry run, those that would be.
    pub rewritten: u64,
    /// Sessions left for a later run: they are due, but have less than half of their idle timeout left, and a request that
    /// extends one in the same moment must not be undone. They end soon, or are used and can be written then.
    pub left_for_later: u64,
    /// Sessions that only the visitor's id opens, or seals: their next change writes them in the present form.
    pub need_the_id: u64,
    /// Sessions that no seal key opens, or that can't be read.
    pub unopened: u64,
    /// Owners whose entries in the index were looked at.
    pub owners: u64,
    /// Entries removed from the index of owners, as their sessions are gone; in a dry run, those that would be.
    pub entries_removed: u64,
    /// About which share of the store was looked at, from 0 to 1.
    pub share: f64,
    /// Where to go on; `None` at the end.
    #[serde(serialize_with = "as_text")]
    pub next: Option<Cursor>,
}

#[expect(clippy::ref_option, reason = "as serde has it")]
fn as_text<S: serde::Serializer>(cursor: &Option<Cursor>, serializer: S) -> Result<S::Ok, S::Error> {
    cursor.as_ref().map(Cursor::as_str).serialize(serializer)
}

impl Tidied {
    fn add(&mut self, outcome: Rewriting) {
        self.seen += 1;
        match outcome {
            Rewriting::NotDue => {}
            Rewriting::Due | Rewriting::Done => self.rewritten += 1,
            Rewriting::Later => self.left_for_later += 1,
            Rewriting::NeedsId => self.need_the_id += 1,
            Rewriting::Unopened => self.unopened += 1,
        }
    }
}

impl Tidying {
    pub(super) fn new(sessions: Pages, owners: Pages<OwnersPage>) -> Self {
        Self { sessions, owners, dry_run: false, on_progress: None }
    }

    /// Only counts what it would do.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// println!("{} sessions would be written", manager.tidy().dry_run().await?.rewritten);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dry_run(self) -> Self {
        Self { dry_run: true, ..self }
    }

    /// Goes on where an earlier one was stopped: by the [cursor](Tidied::next) that it had told last.
    ///
    /// ```
    /// # use session_store::{Cursor, KeyRing, MemoryStore, SessionManager, Values};
    /// async fn go_on(manager: SessionManager, cursor: Cursor) -> Result<(), session_store::Error> {
    ///     manager.tidy().resume(cursor).await?;
    ///     Ok(())
    /// }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "as for every other resumption")]
    pub fn resume(mut self, cursor: Cursor) -> Self {
        if let Some(owners) = cursor.as_str().strip_prefix(OWNERS) {
            self.sessions.skip();
            self.owners.start_at((!owners.is_empty()).then(|| Cursor::new(owners)));
        } else {
            // Of a cursor from elsewhere nothing is left, and a store refuses that.
            let sessions = cursor.as_str().strip_prefix(SESSIONS).unwrap_or_default();
            self.sessions.start_at(Some(Cursor::new(sessions)));
        }
        self
    }

    /// Sets about how many keys the store looks at for a page, as
    /// [`SessionScan::page_size`](crate::SessionScan::page_size).
    pub fn page_size(mut self, keys: usize) -> Self {
        self.sessions.size = keys.clamp(1, Page::MAX_SIZE);
        self.owners.size = self.sessions.size;
        self
    }

    /// Calls `callback` after each page with what was done so far. See the example of
    /// [`tidy`](crate::SessionManager::tidy).
    pub fn on_progress(mut self, callback: impl FnMut(&Tidied) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    async fn run(mut self) -> Result<Tidied, Error> {
        let mut tidied = Tidied::default();
        while let Some(page) = self.sessions.next().await? {
            self.rewrite(&page, &mut tidied).await?;
            let next = page.next.map(|next| Cursor::new(format!("{SESSIONS}{}", next.as_str())));
            self.tell(&mut tidied, next.or_else(|| Some(Cursor::new(OWNERS))));
        }
        while let Some(page) = self.owners.next().await? {
            self.prune(&page, &mut tidied).await?;
            let next = page.next.map(|next| Cursor::new(format!("{OWNERS}{}", next.as_str())));
            self.tell(&mut tidied, next);
        }
        Ok(tidied)
    }

    async fn rewrite(&mut self, page: &Page, tidied: &mut Tidied) -> Result<(), Error> {
        let (store, now) = (self.sessions.store(), self.sessions.now());
        let outcomes = page.sessions.iter().map(|session| {
            let (store, key, dry_run) = (Arc::clone(store), session.key.clone(), self.dry_run);
            async move { patiently(|| store.rewrite(&key, now, dry_run)).await }
        });
        let outcomes: Vec<_> = outcomes.collect();
        let mut outcomes = stream::iter(outcomes).buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.try_next().await? {
            tidied.add(outcome);
        }
        page.unreadable.iter().for_each(|_| tidied.add(Rewriting::Unopened));
        Ok(())
    }

    /// Goes through a few owners at once, and a page of their entries at a time: somebody may have a million.
    async fn prune(&mut self, page: &OwnersPage, tidied: &mut Tidied) -> Result<(), Error> {
        let mut due: Vec<_> = page.owners.iter().map(|owner| (*owner, None)).collect();
        tidied.owners += due.len() as u64;
        while !due.is_empty() {
            let (store, now) = (self.owners.store(), self.owners.now());
            let pruning =
                due.split_off(due.len().saturating_sub(AT_ONCE)).into_iter().map(|(owner, after)| {
                    let (store, dry_run) = (Arc::clone(store), self.dry_run);
                    async move {
                        let pruned = patiently(|| store.prune(owner, after.as_ref(), now, dry_run)).await?;
                        Ok::<_, Error>((owner, pruned))
                    }
                });
            let pruned = try_join_all(pruning).await?;
            self.owners.keep_pace(pruned.iter().map(|(_, pruned)| pruned.entries).sum()).await;
            for (owner, pruned) in pruned {
                tidied.entries_removed += pruned.removed as u64;
                due.extend(pruned.next.map(|next| (owner, Some(next))));
            }
        }
        Ok(())
    }

    /// Tells how far it is, and where it would go on.
    fn tell(&mut self, tidied: &mut Tidied, next: Option<Cursor>) {
        tidied.share = f64::midpoint(self.sessions.share(), self.owners.share());
        tidied.next = next;
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(tidied);
        }
    }
}

impl IntoFuture for Tidying {
    type Output = Result<Tidied, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Tidying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tidying")
            .field("sessions", &self.sessions)
            .field("owners", &self.owners)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

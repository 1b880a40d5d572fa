//! [`Tidying`]: sessions that rest in an old form are written in the present one.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::pages::{Pages, patiently};
use crate::engine::store_client::Rewriting;
use crate::error::Error;
use crate::store::scan::{Cursor, Page};

/// So many sessions are on their way at once.
const AT_ONCE: usize = 16;

type OnTidied = Box<dyn FnMut(&Tidied) + Send>;

/// Writes sessions again that rest in another form than the manager's present one; made by
/// [`SessionManager::tidy`](crate::SessionManager::tidy), which has an example.
#[must_use = "nothing is done unless this is awaited"]
pub struct Tidying {
    pages: Pages,
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
    pub(super) fn new(pages: Pages) -> Self {
        Self { pages, dry_run: false, on_progress: None }
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
    pub fn resume(mut self, cursor: Cursor) -> Self {
        self.pages.start_at(Some(cursor));
        self
    }

    /// Sets about how many keys the store looks at for a page, as
    /// [`SessionScan::page_size`](crate::SessionScan::page_size).
    pub fn page_size(mut self, keys: usize) -> Self {
        self.pages.size = keys.clamp(1, Page::MAX_SIZE);
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
        while let Some(page) = self.pages.next().await? {
            let (store, now) = (Arc::clone(self.pages.store()), self.pages.now());
            let outcomes = page.sessions.iter().map(|session| {
                let (store, key, dry_run) = (Arc::clone(&store), session.key.clone(), self.dry_run);
                async move { patiently(|| store.rewrite(&key, now, dry_run)).await }
            });
            let outcomes: Vec<_> = outcomes.collect();
            let mut outcomes = stream::iter(outcomes).buffer_unordered(AT_ONCE);
            while let Some(outcome) = outcomes.try_next().await? {
                tidied.add(outcome);
            }
            page.unreadable.iter().for_each(|_| tidied.add(Rewriting::Unopened));
            tidied.share = self.pages.share();
            tidied.next = page.next;
            if let Some(on_progress) = &mut self.on_progress {
                on_progress(&tidied);
            }
        }
        Ok(tidied)
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
            .field("pages", &self.pages)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

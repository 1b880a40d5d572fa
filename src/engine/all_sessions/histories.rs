//! `HistoryScan`: all histories, one after the other.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;

use super::pages::{OnProgress, Pages};
use crate::error::Error;
use crate::store::history::{HistoryPage, OwnerHistory};

/// The stream of all owners' histories, from [`SessionManager::histories`](crate::SessionManager::histories), which has an
/// example.
///
/// Histories that exist throughout are seen, each once. The store is asked for one page at a time, at the
/// [rate](crate::SessionManagerBuilder::max_scan_rate) of all scans. The stream ends after an error.
#[must_use = "a stream does nothing unless it is polled"]
pub struct HistoryScan {
    pages: Pages<HistoryPage>,
    ready: vec::IntoIter<OwnerHistory>,
    seen: u64,
    on_progress: Option<OnProgress>,
}

impl HistoryScan {
    pub(super) fn new(pages: Pages<HistoryPage>) -> Self {
        Self { pages, ready: Vec::new().into_iter(), seen: 0, on_progress: None }
    }

    /// Calls `callback` after each page with the number of histories seen so far, and about which share of the store
    /// was looked at, from 0 to 1.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager};
    /// # let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let histories = manager.histories().on_progress(|seen, share| {
    ///     println!("{seen} histories so far, {:.0} % of the store", share * 100.0);
    /// });
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn on_progress(mut self, callback: impl FnMut(u64, f64) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    fn take(&mut self, page: HistoryPage) {
        self.seen += page.histories.len() as u64;
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(self.seen, self.pages.share());
        }
        self.ready = page.histories.into_iter();
    }
}

impl Stream for HistoryScan {
    type Item = Result<OwnerHistory, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(history) = this.ready.next() {
                return Poll::Ready(Some(Ok(history)));
            }
            match ready!(this.pages.poll_next(cx)) {
                Some(Ok(page)) => this.take(page),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for HistoryScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryScan")
            .field("pages", &self.pages)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

//! `SessionScan`: all sessions, one after the other.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_core::Stream;
use futures_core::stream::FusedStream;

use super::pages::{OnProgress, Pages};
use crate::error::Error;
use crate::id::SessionKey;
use crate::store::scan::{Cursor, Page, SessionSummary};

/// The stream of all sessions, from [`SessionManager::sessions`](crate::SessionManager::sessions).
///
/// Sessions that exist throughout are seen, each once; one that comes, goes or gets a new id
/// meanwhile may be seen or not. To see each only once, the scan remembers them in 20 to 40 bytes each. The store is
/// asked for one page at a time, when the page before was handed out; dropping the scan ends it.
///
/// The stream ends after an error. To continue later, or in another process, keep the
/// [`cursor`](Self::cursor):
///
/// ```
/// use futures_util::StreamExt as _;
/// use session_store::{Cursor, KeyRing, MemoryStore, SessionManager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// # let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// let mut sessions = manager.sessions().page_size(100).on_progress(|seen, share| {
///     println!("{seen} sessions so far, {:.0} % of the store", share * 100.0);
/// });
/// let mut saved = String::new();
/// while let Some(session) = sessions.next().await {
///     if let (Err(error), Some(cursor)) = (session, sessions.cursor()) {
///         println!("{error}; the rest is left for later");
///         saved = cursor.to_string();
///     }
/// }
/// if !saved.is_empty() {
///     let rest = manager.sessions().resume(Cursor::new(saved));
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream does nothing unless it is polled"]
pub struct SessionScan {
    pages: Pages,
    ready: vec::IntoIter<SessionSummary>,
    unreadable: Vec<SessionKey>,
    seen: u64,
    on_progress: Option<OnProgress>,
}

impl SessionScan {
    pub(super) fn new(pages: Pages) -> Self {
        Self { pages, ready: Vec::new().into_iter(), unreadable: Vec::new(), seen: 0, on_progress: None }
    }

    /// Sets about how many keys the store looks at for a page: 500 by default, 1 to 10,000. Redis serves nobody else
    /// meanwhile: about half a millisecond for 500 keys.
    ///
    /// ```
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// // Where single milliseconds count, and the list has time.
    /// let sessions = manager.sessions().page_size(100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn page_size(mut self, keys: usize) -> Self {
        self.pages.size = keys.clamp(1, Page::MAX_SIZE);
        self
    }

    /// Calls `callback` after each page with the number of sessions seen so far, and about which share of the store
    /// was looked at, from 0 to 1. The share never falls, and is 1 at the end. See the [example](Self).
    pub fn on_progress(mut self, callback: impl FnMut(u64, f64) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(callback));
        self
    }

    /// Begins where another scan of the same store stopped. It does not know what that one has seen: some sessions
    /// may be seen again. See the [example](Self).
    pub fn resume(mut self, cursor: Cursor) -> Self {
        self.pages.start_at(Some(cursor));
        self
    }

    /// The place from which another scan sees the rest; `None` before the first page is done, and at the end. Sessions
    /// of the page that is being handed out are seen again. See the [example](Self).
    pub fn cursor(&self) -> Option<&Cursor> {
        if self.ready.len() > 0 { self.pages.began() } else { self.pages.cursor() }
    }

    /// The keys found so far whose values cannot be read as sessions of this version: the first
    /// [`Page::MAX_SIZE`] of them.
    ///
    /// ```
    /// use futures_util::TryStreamExt as _;
    ///
    /// # use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// # let manager = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
    /// let mut sessions = manager.sessions();
    /// while sessions.try_next().await?.is_some() {}
    /// for key in sessions.unreadable() {
    ///     println!("{key} is cut short, or was written by a newer version");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn unreadable(&self) -> &[SessionKey] {
        &self.unreadable
    }

    fn take(&mut self, mut page: Page) {
        page.unreadable.retain(|key| !self.unreadable.contains(key));
        let room = Page::MAX_SIZE - self.unreadable.len();
        self.unreadable.extend(page.unreadable.drain(..).take(room));
        self.seen += page.sessions.len() as u64;
        if let Some(on_progress) = &mut self.on_progress {
            on_progress(self.seen, self.pages.share());
        }
        self.ready = page.sessions.into_iter();
    }
}

impl Stream for SessionScan {
    type Item = Result<SessionSummary, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(session) = this.ready.next() {
                return Poll::Ready(Some(Ok(session)));
            }
            match ready!(this.pages.poll_next(cx)) {
                Some(Ok(page)) => this.take(page),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl FusedStream for SessionScan {
    fn is_terminated(&self) -> bool {
        self.ready.len() == 0 && self.pages.is_over()
    }
}

impl fmt::Debug for SessionScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionScan")
            .field("pages", &self.pages)
            .field("seen", &self.seen)
            .field("share", &self.pages.share())
            .finish_non_exhaustive()
    }
}

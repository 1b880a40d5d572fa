//! The pages of a store, one after the other.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::clock::{Clock, Timestamp};
use crate::engine::store_client::StoreClient;
use crate::error::Error;
use crate::store::history::HistoryPage;
use crate::store::scan::{Cursor, OwnersPage, Page};

/// Measured with a million sessions and 16 tasks that load others: by 100 a count beside them takes longest, and
/// from 250 on the differences are those between two runs; by 1,000 the slowest loads in a thousand waited for
/// up to 12 ms, else for 6 to 8. Of a `SCAN`, during which Redis serves nobody, it is the size: 0.2 ms for 100,
/// 0.6 for 500, 1 to 2 for 1,000.
pub(super) const DEFAULT_SIZE: usize = 500;

/// Keys a second, of a store on servers: so fewer than one load in a hundred comes upon a page. Measured
/// with `cargo bench --bench operations -- --count 2500,5000,10000`.
pub(super) const DEFAULT_RATE: u32 = 4_000;

/// Told how many sessions were seen, or ended, and which share of the whole was looked at.
pub(in crate::engine) type OnProgress = Box<dyn FnMut(u64, f64) + Send>;

pub(super) struct Pages<P = Page> {
    store: Arc<StoreClient>,
    clock: Arc<dyn Clock>,
    pub(super) size: usize,
    keys_per_second: Option<u32>,
    /// When the next page may be asked for.
    not_before: Option<Instant>,
    /// Where the page begins that was taken in last.
    began: Option<Cursor>,
    next: Next,
    asking: Option<Asking<P>>,
    over: bool,
    share: f64,
    seen: Option<HashSet<u128>>,
}

/// A page that a store is asked for.
pub(super) trait Paged: Sized + Send + 'static {
    fn ask(
        store: &StoreClient,
        cursor: Option<&Cursor>,
        size: usize,
    ) -> impl Future<Output = Result<Self, Error>> + Send;

    /// The place of the next one, and which share of the store was looked at, as the store says.
    fn next(&self) -> (Option<&Cursor>, f64);

    /// Leaves out what is over `now`, and what was seen before.
    fn sift(&mut self, now: Timestamp, seen: Option<&mut HashSet<u128>>);
}

impl Paged for Page {
    async fn ask(store: &StoreClient, cursor: Option<&Cursor>, size: usize) -> Result<Self, Error> {
        store.page(cursor, size).await
    }

    fn next(&self) -> (Option<&Cursor>, f64) {
        (self.next.as_ref(), self.progress)
    }

    fn sift(&mut self, now: Timestamp, seen: Option<&mut HashSet<u128>>) {
        self.sessions.retain(|session| !session.has_ended(now));
        if let Some(seen) = seen {
            self.sessions.retain(|session| seen.insert(session.key.fingerprint()));
        }
    }
}

impl Paged for HistoryPage {
    async fn ask(store: &StoreClient, cursor: Option<&Cursor>, size: usize) -> Result<Self, Error> {
        store.histories(cursor, size).await
    }

    fn next(&self) -> (Option<&Cursor>, f64) {
        (self.next.as_ref(), self.progress)
    }

    fn sift(&mut self, _: Timestamp, seen: Option<&mut HashSet<u128>>) {
        if let Some(seen) = seen {
            self.histories.retain(|history| seen.insert(history.owner.fingerprint()));
        }
    }
}

impl Paged for OwnersPage {
    async fn ask(store: &StoreClient, cursor: Option<&Cursor>, size: usize) -> Result<Self, Error> {
        store.owners_page(cursor, size).await
    }

    fn next(&self) -> (Option<&Cursor>, f64) {
        (self.next.as_ref(), self.progress)
    }

    fn sift(&mut self, _: Timestamp, seen: Option<&mut HashSet<u128>>) {
        if let Some(seen) = seen {
            self.owners.retain(|owner| seen.insert(owner.fingerprint()));
        }
    }
}

#[derive(Clone, Debug)]
enum Next {
    At(Option<Cursor>),
    None,
}

/// A page that is being asked for.
type Asking<P> = Pin<Box<dyn Future<Output = Result<P, Error>> + Send>>;

impl<P: Paged> Pages<P> {
    pub(super) fn new(store: Arc<StoreClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            size: DEFAULT_SIZE,
            keys_per_second: None,
            not_before: None,
            began: None,
            next: Next::At(None),
            asking: None,
            over: false,
            share: 0.0,
            seen: None,
        }
    }

    /// Looks at so many keys a second at most.
    pub(super) fn paced(self, keys_per_second: u32) -> Self {
        Self { keys_per_second: Some(keys_per_second), ..self }
    }

    /// Each session once.
    pub(super) fn without_duplicates(self) -> Self {
        Self { seen: Some(HashSet::new()), ..self }
    }

    pub(super) fn start_at(&mut self, cursor: Option<Cursor>) {
        (self.next, self.over) = (Next::At(cursor), false);
    }

    /// Takes all pages as gone through.
    pub(super) fn skip(&mut self) {
        (self.next, self.share) = (Next::None, 1.0);
    }

    /// Where it goes on; `None` at the start and at the end.
    pub(super) fn cursor(&self) -> Option<&Cursor> {
        match &self.next {
            Next::At(cursor) => cursor.as_ref(),
            Next::None => None,
        }
    }

    /// Where the last page began; `None` if that was at the start.
    pub(super) fn began(&self) -> Option<&Cursor> {
        self.began.as_ref()
    }

    /// About which share of the store was looked at, from 0 to 1. It never falls.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// Whether there will be no page any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn store(&self) -> &Arc<StoreClient> {
        &self.store
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) async fn next(&mut self) -> Result<Option<P>, Error> {
        poll_fn(|cx| self.poll_next(cx)).await.transpose()
    }

    /// The next page, when it is there. After an error there is none.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<P, Error>>> {
        if self.asking.is_none() && !self.over {
            self.asking = self.ask();
        }
        let Some(asking) = &mut self.asking else {
            self.over = true;
            return Poll::Ready(None);
        };
        let page = ready!(asking.as_mut().poll(cx));
        self.asking = None;
        self.over = page.is_err();
        Poll::Ready(Some(page.map(|page| self.take(page))))
    }

    /// Asks for the next page, if there is one.
    fn ask(&mut self) -> Option<Asking<P>> {
        let Next::At(cursor) = &self.next else { return None };
        let (store, cursor, size) = (Arc::clone(&self.store), cursor.clone(), self.size);
        let start = self.turn(self.size);
        Some(Box::pin(async move {
            if let Some(start) = start {
                sleep_until(start).await;
            }
            patiently(|| P::ask(&store, cursor.as_ref(), size)).await
        }))
    }

    /// Waits for the turn of so many keys that a page led to.
    pub(super) async fn keep_pace(&mut self, keys: usize) {
        if let Some(turn) = self.turn(keys) {
            sleep_until(turn).await;
        }
    }

    /// When so many keys may be looked at; what comes after them may be once they had their time.
    fn turn(&mut self, keys: usize) -> Option<Instant> {
        let now = Instant::now();
        let earliest = self.not_before.filter(|earliest| *earliest > now);
        let keys_per_second = f64::from(self.keys_per_second?);
        #[expect(clippy::cast_precision_loss, reason = "a share of a second does not matter")]
        let time = Duration::from_secs_f64(keys as f64 / keys_per_second);
        self.not_before = Some(earliest.unwrap_or(now) + time);
        earliest
    }

    /// Takes in a page that was asked for, without what is over, or was seen before.
    fn take(&mut self, mut page: P) -> P {
        let (next, share) = match page.next() {
            (Some(cursor), share) => (Next::At(Some(cursor.clone())), share.clamp(0.0, 1.0)),
            (None, _) => (Next::None, 1.0),
        };
        self.began = match mem::replace(&mut self.next, next) {
            Next::At(cursor) => cursor,
            Next::None => None,
        };
        self.share = self.share.max(share);
        page.sift(self.clock.now(), self.seen.as_mut());
        page
    }
}

/// Tries what does no harm if it is done twice, and a third time: of a million steps, one may well find the
/// server busy for a moment.
pub(super) async fn patiently<A, F>(mut step: impl FnMut() -> F) -> Result<A, Error>
where
    F: Future<Output = Result<A, Error>>,
{
    let mut failures = 0;
    loop {
        match step().await {
            Err(Error::Unavailable { .. }) if failures < 2 => failures += 1,
            outcome => return outcome,
        }
    }
}

impl<P> fmt::Debug for Pages<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("size", &self.size).field("next", &self.next).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::owners::{Entry, IndexInsert, Stage};
    use crate::{
        Codec, KeyRing, MemoryStore, Owner, OwnerHash, Record, SessionId, SessionManager, SessionStore as _,
        SystemClock, Ttl,
    };

    /// By tokio's clock, which moves on by itself while everybody waits.
    #[tokio::test(start_paused = true)]
    async fn pages_keep_their_distance() {
        let store = Arc::new(MemoryStore::new());
        for _ in 0..5000 {
            let (now, ttl) = (SystemClock.now(), Duration::from_secs(3600));
            let record = Record::new(now, now.saturating_add(ttl), Codec::Json.encode(&0).unwrap());
            store.create(&SessionId::generate().key(), &record, Ttl::new(ttl)).await.unwrap();
        }
        for (rate, millis) in [(None, 0), (Some(1000), 4500), (Some(100_000), 45), (Some(u32::MAX), 0)] {
            let builder = SessionManager::<u32>::builder(Arc::clone(&store), KeyRing::generate());
            let manager = match rate {
                Some(rate) => builder.max_scan_rate(rate),
                None => builder,
            };
            let start = Instant::now();
            assert_eq!(manager.build().unwrap().count_sessions().await.unwrap(), 5000);
            // Ten pages of 500, and nothing waits for the first one.
            let (took, expected) = (start.elapsed(), Duration::from_millis(millis));
            assert!((expected..expected + Duration::from_millis(20)).contains(&took), "{rate:?}: {took:?}");
        }
    }

    /// Each entry of an owner is a session that is looked up.
    #[tokio::test(start_paused = true)]
    async fn so_do_the_entries_of_owners() {
        let store = Arc::new(MemoryStore::new());
        let created_at = SystemClock.now();
        for nth in 0..100 {
            let owner = OwnerHash::of(&Owner::new(format!("visitor {nth}")).unwrap());
            for _ in 0..10 {
                let entry = Entry { key: SessionId::generate().key(), created_at };
                let insert = IndexInsert::new(&entry, Duration::from_secs(3600), Stage::Later);
                store.owners().unwrap().insert(owner, insert).await.unwrap();
            }
        }
        let builder = SessionManager::<u32>::builder(store, KeyRing::generate()).max_scan_rate(1000);
        let start = Instant::now();
        let tidied = builder.build().unwrap().tidy().dry_run().page_size(50).await.unwrap();
        assert_eq!((tidied.owners, tidied.entries_removed), (100, 1000));
        // 100 keys and 1,000 entries, and nothing waits for the last 20, which are those of two owners.
        let (took, expected) = (start.elapsed(), Duration::from_millis(1080));
        assert!((expected..expected + Duration::from_millis(20)).contains(&took), "{took:?}");
    }
}

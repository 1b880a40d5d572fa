use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::Weak;

use async_trait::async_trait;
use futures_util::FutureExt as _;

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::id::SessionId;
use crate::record::Payload;

const HOUR: Duration = Duration::from_secs(3600);
const BOUND: Duration = Duration::from_secs(1);

/// A store whose every answer is counted, and whose changes are told by the test.
#[derive(Debug, Default)]
struct Source {
    held: Mutex<HashMap<SessionKey, (Loaded, Option<Duration>)>>,
    told_until: Mutex<Option<Instant>>,
    asked: AtomicU64,
}

#[async_trait]
impl CopySource for Source {
    fn subscribe(&self, _: Weak<dyn Copies>, _: Duration) {}

    fn told_until(&self) -> Option<Instant> {
        *self.told_until.lock().unwrap()
    }

    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = self.held.lock().unwrap().get(key).cloned().unwrap_or((Loaded::Absent, None));
        // Whatever else is to happen while the answer is on its way.
        tokio::task::yield_now().await;
        Ok(found)
    }
}

impl Source {
    fn confirming() -> Self {
        let source = Self::default();
        source.confirm(Duration::ZERO);
        source
    }

    fn confirm(&self, ago: Duration) {
        *self.told_until.lock().unwrap() = Instant::now().checked_sub(ago);
    }

    fn put(&self, key: &SessionKey, loaded: Loaded, life: Option<Duration>) {
        self.held.lock().unwrap().insert(key.clone(), (loaded, life));
    }

    fn put_new(&self, life: Duration) -> (SessionId, Record) {
        let (id, record) = (SessionId::generate(), record("{}"));
        self.put(&id.key(), Loaded::Found(record.clone()), Some(life));
        (id, record)
    }

    /// How often it was asked since the last time.
    fn asked(&self) -> u64 {
        self.asked.swap(0, Ordering::Relaxed)
    }
}

fn record(data: &'static str) -> Record {
    let now = SystemClock.now();
    Record::new(now, now.saturating_add(HOUR), Payload::new(1, data))
}

fn copies_in(bytes: usize) -> NearCopies {
    NearCopies::new(&Arc::new(KeptCopies::new(bytes)), BOUND)
}

fn copies() -> NearCopies {
    copies_in(1 << 20)
}

#[tokio::test]
async fn a_session_is_read_once_while_nothing_changes() {
    let (source, copies) = (Source::confirming(), copies());
    let (id, record) = source.put_new(HOUR);
    for _ in 0..3 {
        assert_eq!(copies.load(&source, &id.key()).await.unwrap(), Loaded::Found(record.clone()));
    }
    assert_eq!(source.asked(), 1);
    assert_eq!(copies.load_fresh(&source, &id.key()).await.unwrap(), Loaded::Found(record));
    assert_eq!(source.asked(), 1, "past the copy");
    let status = copies.status(&source);
    assert_eq!((status.hits, status.misses, status.bypassed, status.trusted), (2, 1, 0, true));
}

#[cfg(feature = "json")]
#[tokio::test]
async fn what_a_reader_decodes_is_decoded_for_all() {
    let (source, copies) = (Source::confirming(), copies());
    let (id, _) = source.put_new(HOUR);
    let mut decoded = Vec::new();
    for _ in 0..3 {
        let loaded = copies.load(&source, &id.key()).await.unwrap();
        let Loaded::Found(record) = loaded else { panic!("{loaded:?}") };
        decoded.push(record.data.decode::<crate::Values>().unwrap());
    }
    assert!(decoded.iter().all(|data| Arc::ptr_eq(data, &decoded[0])));
}

#[tokio::test]
async fn copies_are_used_only_as_long_as_they_were_confirmed_within_the_bound() {
    let (source, copies) = (Source::confirming(), copies());
    let (id, _) = source.put_new(HOUR);
    let asks = async || {
        copies.load(&source, &id.key()).await.unwrap();
        source.asked()
    };
    assert_eq!((asks().await, asks().await), (1, 0));
    source.confirm(BOUND);
    assert_eq!(asks().await, 1, "the bound is over");
    *source.told_until.lock().unwrap() = None;
    assert_eq!((asks().await, asks().await), (1, 1), "nobody is told of changes");
    source.confirm(BOUND / 2);
    assert_eq!(asks().await, 0, "the copy from before is right: nothing was told of it");
    let status = copies.status(&source);
    assert_eq!((status.hits, status.misses, status.bypassed), (2, 1, 3));
}

/// The orders in which a change and a read may meet.
#[tokio::test]
async fn what_was_read_before_a_change_is_no_copy_after_it() {
    type Change = fn(&NearCopies, &SessionId);
    let changes: [(&str, Change); 3] = [
        ("of the key", |copies, id| copies.changed(&id.key())),
        ("of anything", |copies, _| copies.all_changed()),
        ("of the session under another id", |copies, id| copies.changed(&id.rotated().key())),
    ];
    for (change, make) in changes {
        let (source, copies) = (Source::confirming(), copies());
        let (id, _) = source.put_new(HOUR);
        // Before the read, between its question and its answer, and after it.
        make(&copies, &id);
        let key = id.key();
        let (read, ()) = tokio::join!(copies.load(&source, &key), async { make(&copies, &id) });
        read.unwrap();
        let new = record(r#"{"new":1}"#);
        source.put(&id.key(), Loaded::Found(new.clone()), Some(HOUR));
        assert_eq!(copies.load(&source, &id.key()).await.unwrap(), Loaded::Found(new), "a change {change}");
        make(&copies, &id);
        source.put(&id.key(), Loaded::Absent, None);
        assert_eq!(copies.load(&source, &id.key()).await.unwrap(), Loaded::Absent, "a change {change}");
    }
}

/// A write of one's own: what is copied before it, and while it is on its way, is no copy after it, however it ends.
#[tokio::test]
async fn a_write_of_ones_own_counts_from_before_it_is_sent_until_after_it_is_answered() {
    for is_answered in [true, false] {
        let (source, copies) = (Source::confirming(), copies());
        let (id, old) = source.put_new(HOUR);
        let key = id.key();
        copies.load(&source, &key).await.unwrap();
        let answer = tokio::sync::Notify::new();
        let mut write = Box::pin(copies.during(&key, answer.notified()));
        assert!((&mut write).now_or_never().is_none());
        // It is on its way, and the store has not made it yet.
        source.asked();
        assert_eq!(copies.load(&source, &key).await.unwrap(), Loaded::Found(old));
        assert_eq!(source.asked(), 1, "the copy from before is given up as it is sent");
        let new = record(r#"{"new":1}"#);
        source.put(&key, Loaded::Found(new.clone()), Some(HOUR));
        if is_answered {
            answer.notify_one();
            write.await;
        } else {
            drop(write);
        }
        assert_eq!(copies.load(&source, &key).await.unwrap(), Loaded::Found(new));
    }
}

#[tokio::test]
async fn a_change_of_one_session_leaves_the_copies_of_others() {
    let (source, copies) = (Source::confirming(), copies());
    let (kept, _) = source.put_new(HOUR);
    copies.load(&source, &kept.key()).await.unwrap();
    let others: Vec<_> = (0..20).map(|_| SessionId::generate().key()).collect();
    for other in &others {
        copies.changed(other);
    }
    // Some may share its version by chance: all of twenty, never.
    source.asked();
    let shared =
        others.iter().any(|other| std::ptr::eq(copies.of_lineage(other), copies.of_lineage(&kept.key())));
    copies.load(&source, &kept.key()).await.unwrap();
    assert_eq!(source.asked(), u64::from(shared));
}

#[tokio::test]
async fn a_copy_ends_when_the_session_does() {
    let (source, copies) = (Source::confirming(), copies());
    let (short, _) = source.put_new(Duration::from_millis(30));
    let (long, _) = source.put_new(HOUR);
    for id in [&short, &long] {
        copies.load(&source, &id.key()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(40)).await;
    source.asked();
    copies.load(&source, &long.key()).await.unwrap();
    assert_eq!(source.asked(), 0);
    source.put(&short.key(), Loaded::Absent, None);
    assert_eq!(copies.load(&source, &short.key()).await.unwrap(), Loaded::Absent);
}

#[tokio::test]
async fn only_sessions_whose_end_is_known_are_copied() {
    let (source, copies) = (Source::confirming(), copies());
    for (loaded, life) in [
        (Loaded::Absent, None),
        (Loaded::Moved, None),
        (Loaded::Moved, Some(HOUR)),
        (Loaded::Found(record("{}")), None),
    ] {
        let key = SessionId::generate().key();
        source.put(&key, loaded.clone(), life);
        for _ in 0..2 {
            assert_eq!(copies.load(&source, &key).await.unwrap(), loaded);
        }
        assert_eq!(source.asked(), 2, "{loaded:?}");
    }
}

#[tokio::test]
async fn the_bound_in_bytes_holds_and_what_was_used_last_stays() {
    let bytes = 256 * 1024;
    let (source, copies) = (Source::confirming(), copies_in(bytes));
    let (used, _) = source.put_new(HOUR);
    for _ in 0..2000 {
        copies.load(&source, &used.key()).await.unwrap();
        let (id, _) = source.put_new(HOUR);
        copies.load(&source, &id.key()).await.unwrap();
        copies.kept.settle();
    }
    assert!(copies.status(&source).bytes <= bytes as u64);
    assert!(copies.status(&source).copies > 100, "{:?}", copies.status(&source));
    source.asked();
    copies.load(&source, &used.key()).await.unwrap();
    assert_eq!(source.asked(), 0);
}

/// Stores of several tenants. An id may be in several of them, since a copy of a database has it too.
#[tokio::test]
async fn what_stores_keep_in_the_same_bytes_is_apart() {
    let kept = Arc::new(KeptCopies::new(1 << 20));
    let [one, another] = [(); 2].map(|()| NearCopies::new(&kept, BOUND));
    let [ours, theirs] = [(); 2].map(|()| Source::confirming());
    let key = SessionId::generate().key();
    let [our, their] = [r#"{"our":1}"#, r#"{"their":1}"#].map(record);
    ours.put(&key, Loaded::Found(our.clone()), Some(HOUR));
    theirs.put(&key, Loaded::Found(their.clone()), Some(HOUR));
    for _ in 0..2 {
        assert_eq!(one.load(&ours, &key).await.unwrap(), Loaded::Found(our.clone()));
        assert_eq!(another.load(&theirs, &key).await.unwrap(), Loaded::Found(their.clone()));
    }
    assert_eq!((ours.asked(), theirs.asked()), (1, 1));

    one.changed(&key);
    one.all_changed();
    one.load(&ours, &key).await.unwrap();
    another.load(&theirs, &key).await.unwrap();
    assert_eq!((ours.asked(), theirs.asked()), (1, 0), "what changed is one's alone");
    let status = another.status(&theirs);
    assert_eq!((status.hits, status.misses, status.invalidated, status.emptied), (2, 1, 0, 0));
}

#[test]
fn lineages_spread_over_versions() {
    let copies = copies();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..2048 {
        seen.insert(std::ptr::from_ref(copies.of_lineage(&SessionId::generate().key())) as usize);
    }
    // 2048 thrown into 2048: 63 % are hit.
    assert!((1150..1450).contains(&seen.len()), "{}", seen.len());
}

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::id::SessionId;
use crate::store::owners::{self, Entering, Stage};

use crate::record::Payload;
use bytes::Bytes;

fn record(length: usize) -> Record {
    let now = SystemClock.now();
    Record::new(now, now, Payload::new(1, vec![0; length]))
}

const HOUR: Duration = Duration::from_secs(3600);

fn hour() -> Ttl {
    Ttl::new(HOUR)
}

async fn create(store: &MemoryStore, record: &Record, ttl: Ttl) -> Result<SessionKey, Error> {
    let key = SessionId::generate().key();
    store.create(&key, record, ttl).await.map(|_| key)
}

#[tokio::test]
async fn a_session_larger_than_the_store_is_refused_and_nothing_is_lost() {
    let store = MemoryStore::with_capacity(2000);
    let key = create(&store, &record(1400), hour()).await.expect("2000 bytes fit into 2000");
    let Ok(Loaded::Found(present)) = store.load(&key).await else { panic!("it is stored") };

    let data = Payload::new(1, vec![0; 1401]);
    let larger = Record { data, ..present.next() };
    let rotation =
        Rotation { old: &key, expected: present.revision, new: &key, record: &larger, ttl: hour() };
    for error in [
        create(&store, &larger, hour()).await.unwrap_err(),
        store.update(&key, present.revision, &larger, hour()).await.unwrap_err(),
        store.rotate(rotation).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::TooLarge { size: 2001, limit: 2000, .. }), "{error}");
    }
    store.cache.run_pending_tasks();
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Found(present));
}

#[tokio::test]
async fn a_store_without_capacity_refuses_every_session() {
    let error = create(&MemoryStore::with_capacity(0), &record(0), hour()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 0, .. }), "{error}");
}

#[tokio::test]
async fn the_store_stays_within_its_capacity_and_forgets_what_was_used_longest_ago() {
    let store = MemoryStore::with_capacity(100_000);
    let mut owned = record(400);
    owned.owner = Some(Owner::new("a".repeat(200)).unwrap());
    let used = create(&store, &owned, hour()).await.unwrap();
    let unused = create(&store, &owned, hour()).await.unwrap();
    let mut newest = unused.clone();
    for _ in 0..500 {
        newest = create(&store, &record(400), hour()).await.unwrap();
        store.load(&used).await.unwrap();
        store.cache.run_pending_tasks();
        assert!(store.cache.weighted_size() <= 100_000, "{} bytes", store.cache.weighted_size());
    }
    assert_eq!(store.cache.entry_count(), 99, "one of 1200 bytes and 98 of 1000 each");
    assert_eq!(store.load(&unused).await.unwrap(), Loaded::Absent);
    assert!(matches!(store.load(&used).await.unwrap(), Loaded::Found(_)));
    assert!(matches!(store.load(&newest).await.unwrap(), Loaded::Found(_)));
}

#[tokio::test]
async fn a_small_part_of_a_large_buffer_is_copied() {
    let store = MemoryStore::new();
    let buffer = Bytes::from(vec![0; 1_000_000]);
    let mut small = record(0);
    small.data = Payload::new(small.data.codec(), buffer.slice(..10));
    let key = create(&store, &small, hour()).await.unwrap();
    drop(small);
    assert!(buffer.is_unique(), "the store holds on to the whole buffer");
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Found(_)));
}

#[tokio::test]
async fn a_rotation_to_a_key_in_use_is_refused_and_nothing_is_lost() {
    let store = MemoryStore::new();
    let (record, other) = (record(1), record(2));
    let old = create(&store, &record, hour()).await.unwrap();
    let new = create(&store, &other, hour()).await.unwrap();
    let rotation =
        Rotation { old: &old, expected: record.revision, new: &new, record: &record.next(), ttl: hour() };
    let error = store.rotate(rotation).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert_eq!(store.load(&old).await.unwrap(), Loaded::Found(record));
    assert_eq!(store.load(&new).await.unwrap(), Loaded::Found(other));
}

/// Nothing but the sweeper can free the session here: the store is not used again.
#[tokio::test]
async fn an_idle_store_frees_what_has_expired() {
    let store = MemoryStore::swept_every(Duration::from_millis(10), MemoryStore::DEFAULT_CAPACITY);
    create(&store, &record(1), Ttl::new(Duration::from_millis(200))).await.unwrap();
    let started = Instant::now();
    let mut was_counted = false;
    while !was_counted || store.cache.entry_count() > 0 {
        was_counted |= store.cache.entry_count() == 1;
        assert!(started.elapsed() < Duration::from_secs(10), "the expired session is still there");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Else the index would grow while a full store forgets sessions.
#[tokio::test]
async fn what_a_full_store_forgot_leaves_the_index_of_owners() {
    let store = MemoryStore::with_capacity(2 * weight(&record(9)));
    let owner = Owner::new("ada").unwrap();
    let mut entries = Vec::new();
    for n in 0..5 {
        let record = record(n);
        let key = create(&store, &record, hour()).await.unwrap();
        let entry = owners::Entry::of(key, &record);
        store.enter(&owner, Entering::new(&entry, HOUR, Stage::After)).await.unwrap();
        entries.push(entry);
    }
    let on_its_way = owners::Entry::of(SessionId::generate().key(), &record(9));
    store.enter(&owner, Entering::new(&on_its_way, HOUR, Stage::Before)).await.unwrap();
    store.cache.run_pending_tasks();
    store.owners.sweep(|key| store.cache.contains_key(key));
    let left = store.list(&owner, None).await.unwrap().entries;
    assert!(left.contains(&on_its_way), "it may yet be written");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&entries[4]) && !left.contains(&entries[0]));
}

#[test]
fn the_sweeper_ends_with_the_store() {
    let (sender, dropped) = mpsc::channel();
    let cache = MemoryStore::new().cache;
    let owners = Owners::default();
    let sweeper = thread::spawn(move || sweep(&cache, &owners, Duration::from_secs(3600), &dropped));
    drop(sender);
    sweeper.join().expect("it ends, and does not wait for the hour");
}

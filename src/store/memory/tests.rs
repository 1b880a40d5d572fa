use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::id::SessionId;
use crate::store::owner_index::{self, IndexInsert, Stage};

use crate::record::{Extensions, Payload};
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
    let rotation = Rotation::new(&key, &key, &larger, hour());
    for error in [
        create(&store, &larger, hour()).await.unwrap_err(),
        store.update(Update::new(&key, &larger, hour())).await.unwrap_err(),
        store.rotate(rotation).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::TooLarge { size: 2001, limit: 2000, .. }), "{error}");
    }
    store.sessions.settle();
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
    let used = create(&store, &record(600), hour()).await.unwrap();
    let unused = create(&store, &record(600), hour()).await.unwrap();
    let mut newest = unused.clone();
    for _ in 0..500 {
        newest = create(&store, &record(400), hour()).await.unwrap();
        store.load(&used).await.unwrap();
        store.sessions.settle();
        assert!(store.sessions.used() <= 100_000, "{} bytes", store.sessions.used());
    }
    assert_eq!(store.sessions.count(), 99, "one of 1200 bytes and 98 of 1000 each");
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
    let next = record.next();
    let rotation = Rotation::new(&old, &new, &next, hour());
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
    while !was_counted || store.sessions.count() > 0 {
        was_counted |= store.sessions.count() == 1;
        assert!(started.elapsed() < Duration::from_secs(10), "the expired session is still there");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Else the index would grow while a full store forgets sessions.
#[tokio::test]
async fn what_a_full_store_forgot_leaves_the_index_of_owners() {
    let store = MemoryStore::with_capacity(2 * weight(&record(9)));
    let owner = OwnerHash::of(&Owner::new("ada").unwrap());
    let mut entries = Vec::new();
    for n in 0..5 {
        let record = record(n);
        let key = create(&store, &record, hour()).await.unwrap();
        let entry = owner_index::Entry::of(key, &record);
        store.insert(owner, IndexInsert::new(&entry, HOUR, Stage::After)).await.unwrap();
        entries.push(entry);
    }
    let on_its_way = owner_index::Entry::of(SessionId::generate().key(), &record(9));
    store.insert(owner, IndexInsert::new(&on_its_way, HOUR, Stage::Before)).await.unwrap();
    store.sessions.settle();
    store.owners.sweep(|key| store.sessions.contains(key));
    let left = OwnerIndex::list(&store, owner, None).await.unwrap().entries;
    assert!(left.contains(&on_its_way), "it may yet be written");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&entries[4]) && !left.contains(&entries[0]));
}

#[test]
fn the_sweeper_ends_with_the_store() {
    let (sender, dropped) = mpsc::channel();
    let sessions = Arc::clone(&MemoryStore::new().sessions);
    let (owners, histories, watches) = (Owners::default(), Histories::new(1), Watches::default());
    let hour = Duration::from_secs(3600);
    let sweeper = thread::spawn(move || sweep(&sessions, &owners, &histories, &watches, hour, &dropped));
    drop(sender);
    sweeper.join().expect("it ends, and does not wait for the hour");
}

fn owned(length: usize, owner: &str) -> Record {
    Record { owner: Some(Owner::new(owner).unwrap()), ..record(length) }
}

async fn is_there(store: &MemoryStore, key: &SessionKey) -> bool {
    matches!(store.load(key).await.unwrap(), Loaded::Found(_))
}

/// A visitor as the engine stores one: without an owner at first, and under a new key with one.
async fn sign_in(store: &MemoryStore, owner: &str) -> Option<SessionKey> {
    let visitor = record(100);
    let old = create(store, &visitor, hour()).await.unwrap();
    let record = Record { owner: Some(Owner::new(owner).unwrap()), ..visitor.next() };
    let new = SessionId::generate().key();
    let rotation = Rotation::new(&old, &new, &record, hour());
    (store.rotate(rotation).await.unwrap() == Updated::Updated).then_some(new)
}

#[tokio::test]
async fn visitors_push_out_nobody_who_is_signed_in() {
    let capacity = 4_000_000;
    let store = MemoryStore::with_capacity(capacity);
    let mut users = Vec::new();
    for n in 0..1000 {
        users.push(match n % 2 {
            0 => sign_in(&store, "ada").await.unwrap(),
            _ => create(&store, &owned(100, "ada"), hour()).await.unwrap(),
        });
    }
    for n in 0..120_000 {
        create(&store, &record(100), hour()).await.unwrap();
        // Users come back now and then; half of them never.
        store.load(&users[n % 500]).await.unwrap();
        if n % 1000 == 0 {
            assert!(store.sessions.used() <= capacity as u64 + 200 * 800, "{}", store.sessions.used());
        }
    }
    store.sessions.settle();
    assert!(store.sessions.used() <= capacity as u64, "{}", store.sessions.used());
    for user in &users {
        assert!(is_there(&store, user).await);
    }
    let full = store.usage().await.unwrap();
    assert!(full.used_bytes.unwrap() > capacity as u64 * 9 / 10, "visitors use what is left: {full:?}");
}

#[tokio::test]
async fn a_store_full_of_users_forgets_the_oldest_and_lets_new_ones_sign_in() {
    let capacity = 1_000_000;
    let store = MemoryStore::with_capacity(capacity);
    let mut users = Vec::new();
    for _ in 0..3000 {
        users.push(create(&store, &owned(100, "ada"), hour()).await.unwrap());
    }
    store.sessions.settle();
    assert!(!is_there(&store, &users[0]).await, "the oldest");
    for n in 0..3000 {
        // Others look around while somebody fills in the form.
        for _ in 0..10 {
            create(&store, &record(100), hour()).await.unwrap();
        }
        users.push(sign_in(&store, "bob").await.unwrap_or_else(|| panic!("sign-in {n}")));
        assert!(is_there(&store, users.last().unwrap()).await, "sign-in {n}");
    }
    store.sessions.settle();
    assert!(store.sessions.used() <= capacity as u64, "{}", store.sessions.used());
    let newest = users.iter().rev().take(600);
    for user in newest {
        assert!(is_there(&store, user).await);
    }
}

#[tokio::test]
async fn an_owned_session_may_fill_the_store() {
    let store = MemoryStore::with_capacity(2003);
    let key = create(&store, &owned(1400, "ada"), hour()).await.unwrap();
    store.sessions.settle();
    assert!(is_there(&store, &key).await);
}

/// A store's user may give a session an owner under the same key. It is seen at every moment.
#[test]
fn a_session_that_gets_an_owner_is_never_out_of_sight() {
    let store = MemoryStore::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..300 {
        let first = record(1);
        let key = runtime.block_on(create(&store, &first, hour())).unwrap();
        let second = Record { owner: Some(Owner::new("ada").unwrap()), ..first.next() };
        thread::scope(|scope| {
            let readers = [(); 2].map(|()| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    while runtime.block_on(store.load(&key)).unwrap() != Loaded::Found(second.clone()) {
                        assert!(runtime.block_on(is_there(&store, &key)));
                        assert_eq!(store.put(&key, &record(2), hour()).unwrap(), Created::Taken);
                    }
                })
            });
            let updated = runtime.block_on(store.update(Update::new(&key, &second, hour()))).unwrap();
            assert_eq!(updated, Updated::Updated);
            for reader in readers {
                reader.join().expect("it was there all the time");
            }
        });
        assert!(runtime.block_on(store.delete(&key)).unwrap());
        assert_eq!(runtime.block_on(store.load(&key)).unwrap(), Loaded::Absent);
    }
}

/// A store is bounded in bytes, whatever a record consists of.
#[test]
fn every_part_of_a_record_has_its_weight() {
    let plain = record(9);
    let key = SessionId::generate().key();
    let mut full = plain.clone();
    full.owner = Some(Owner::new("ada").unwrap());
    full.label = Some(Label::new("phone").unwrap());
    full.extensions = Extensions::from_bytes(&key, &[0x7F, 0, 2, 1, 2]).unwrap();
    assert_eq!(weight(&full) - weight(&plain), 3 + 5 + 5);
}

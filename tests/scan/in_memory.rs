//! Sessions in memory, in a fallback's two places, and in stores without a scan.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use session_store::owners::{Entry, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation, Verdict};
use session_store::{
    Created, Cursor, Error, FallbackPolicy, FallbackStore, KeyRing, Loaded, MemoryStore, Owner, OwnerHash,
    Record, RedisStore, Rotation, Scan, SessionId, SessionKey, SessionManager, SessionStore, Touch, Ttl,
    Update, Updated,
};

use crate::stage::{record, ttl};
use crate::support::redis::Server;

fn manager(store: impl SessionStore) -> SessionManager<u32> {
    SessionManager::builder(store, KeyRing::generate()).build().unwrap()
}

async fn create(store: &impl SessionStore, record: &Record) -> SessionKey {
    let key = SessionId::generate().key();
    assert_eq!(store.create(&key, record, ttl()).await.unwrap(), Created::Created);
    key
}

#[tokio::test]
async fn memory_is_counted_listed_and_cleared() {
    let store = Arc::new(MemoryStore::new());
    for _ in 0..5000 {
        create(&store, &record()).await;
    }
    let manager = manager(Arc::clone(&store));
    assert_eq!(manager.count_sessions().await.unwrap(), 5000);
    let listed: Vec<_> = manager.sessions().page_size(1).try_collect().await.unwrap();
    assert_eq!(listed.len(), 5000);
    let usage = manager.usage().await.unwrap();
    assert_eq!((usage.sessions, usage.error), (5000.0, 0.0));
    assert_eq!(usage.limit_bytes, Some(MemoryStore::DEFAULT_CAPACITY as u64));
    assert_eq!(usage.bytes_per_session, Some(611.0));
    assert_eq!(manager.revoke_everyone().await.unwrap(), 5000);
    assert_eq!(manager.count_sessions().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_counts_both_places() {
    let mut server = Server::start().await;
    let redis = RedisStore::connect(server.url()).await.unwrap();
    for _ in 0..30 {
        create(&redis, &record()).await;
    }
    let memory = MemoryStore::new();
    let store = Arc::new(FallbackStore::with_memory(redis, FallbackPolicy::WhileDown, memory));
    let manager = manager(Arc::clone(&store));
    assert_eq!(manager.count_sessions().await.unwrap(), 30);
    server.kill();
    // Until it is noticed that the server is away, creating fails.
    let mut created = 0;
    while created < 5 {
        let answer = store.create(&SessionId::generate().key(), &record(), ttl()).await;
        created += u32::from(answer.is_ok());
    }
    assert_eq!(SessionStore::status(&store).fallback.unwrap().in_memory, 5);
    assert!(matches!(manager.count_sessions().await, Err(Error::Unavailable { .. })));
    server.restart().await;
    // It is empty by now, and those of memory move there: in both places or one, each counts once.
    while SessionStore::status(&store).fallback.unwrap().moved < 5 {
        if let Ok(count) = manager.count_sessions().await {
            assert_eq!(count, 5);
        }
    }
    assert_eq!(manager.count_sessions().await.unwrap(), 5);
    assert_eq!(manager.revoke_everyone().await.unwrap(), 5);
}

/// A store of somebody else's, with an index and, if told so, a scan.
#[derive(Debug, Default)]
struct Custom {
    inner: MemoryStore,
    scans: bool,
    removed: Mutex<Vec<(OwnerHash, Entry)>>,
}

#[async_trait]
impl SessionStore for Custom {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.inner.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.inner.create(key, record, ttl).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.inner.update(update).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.inner.touch(touch).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.inner.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.inner.delete(key).await
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        Some(self)
    }

    fn scan(&self) -> Option<&dyn Scan> {
        if self.scans { self.inner.scan() } else { None }
    }
}

#[async_trait]
impl OwnerIndex for Custom {
    async fn insert(&self, _: OwnerHash, _: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        Ok(IndexInserted::new(Verdict::Inserted, true))
    }

    async fn list(&self, _: OwnerHash, _: Option<&Cursor>) -> Result<Owned, Error> {
        Ok(Owned::default())
    }

    async fn revoke(&self, _: OwnerHash, _: Revocation<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn revoked(&self, _: OwnerHash) -> Result<Vec<Entry>, Error> {
        Ok(Vec::new())
    }

    async fn remove(&self, owner: OwnerHash, entries: &[Entry], _: &[Entry]) -> Result<(), Error> {
        let removed = entries.iter().map(|entry| (owner, entry.clone()));
        self.removed.lock().unwrap().extend(removed);
        Ok(())
    }
}

#[tokio::test]
async fn cleared_sessions_leave_the_index_of_their_owners() {
    let store = Arc::new(Custom { scans: true, ..Custom::default() });
    create(&store, &record()).await;
    let mut owned = record();
    owned.owner = Some(Owner::new("ada").unwrap());
    let key = create(&store, &owned).await;
    assert_eq!(manager(Arc::clone(&store)).revoke_everyone().await.unwrap(), 2);
    let entry = Entry { key, created_at: owned.created_at };
    assert_eq!(*store.removed.lock().unwrap(), [(OwnerHash::of(&owned.owner.unwrap()), entry)]);
}

#[tokio::test]
async fn a_store_without_a_scan_says_so() {
    let manager = manager(Custom::default());
    let unsupported = |error: Error| matches!(error, Error::Unsupported { .. });
    assert!(unsupported(manager.count_sessions().await.unwrap_err()));
    assert!(unsupported(manager.revoke_everyone().await.unwrap_err()));
    assert!(unsupported(manager.usage().await.unwrap_err()));
    assert!(unsupported(manager.sessions().try_collect::<Vec<_>>().await.unwrap_err()));
}

/// Sessions that get new ids all the time are ended too, and those that begin meanwhile may stay.
#[tokio::test(flavor = "multi_thread")]
async fn clearing_finds_what_gets_a_new_id_meanwhile() {
    let store = Arc::new(MemoryStore::new());
    let mut rotating = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let mut id = SessionId::generate();
        let mut record = record();
        store.create(&id.key(), &record, ttl()).await.unwrap();
        let store = Arc::clone(&store);
        rotating.spawn(async move {
            // As often as a request does it, and not in a loop that nothing else gets between.
            for _ in 0..20 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                let (next_id, next) = (id.rotated(), record.next());
                let (old, new) = (id.key(), next_id.key());
                let rotation = Rotation::new(&old, &new, &next, ttl());
                if store.rotate(rotation).await.unwrap() != Updated::Updated {
                    return;
                }
                (id, record) = (next_id, next);
            }
        });
    }
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    manager(Arc::clone(&store)).revoke_everyone().page_size(10).await.unwrap();
    rotating.join_all().await;
    assert_eq!(manager(store).count_sessions().await.unwrap(), 0);
}

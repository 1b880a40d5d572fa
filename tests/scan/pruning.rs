//! Entries of the index of owners go whose sessions ended without the index being told, and no others.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use session_store::owners::{Entry, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation, Stage};
use session_store::{
    Clock as _, Created, Cursor, Error, ExpressLayout, KeyRing, Loaded, MemoryStore, Owner, OwnerHash,
    Record, RedisLayout, RedisStore, Rotation, Scan, SessionCookie, SessionId, SessionKey, SessionManager,
    SessionStore, Tidied, Timestamp, Touch, Ttl, Update, Updated, Values,
};

use crate::stage::{self, connect};
use crate::support::redis::{Cluster, Server};
use crate::tidying::{Service, visit};

const HOUR: Duration = Duration::from_secs(3600);

fn hash(owner: &str) -> OwnerHash {
    OwnerHash::of(&Owner::new(owner).unwrap())
}

impl Service {
    async fn entries(&self, owner: &str) -> HashSet<SessionKey> {
        let (mut entries, mut after) = (HashSet::new(), None);
        loop {
            let owned = self.store.owners().unwrap().list(hash(owner), after.as_ref()).await.unwrap();
            entries.extend(owned.entries.into_iter().map(|entry| entry.key));
            after = owned.next;
            if after.is_none() {
                return entries;
            }
        }
    }

    /// Past the index: as another program does it, or Redis where it evicts keys.
    async fn remove(&self, key: &SessionKey) {
        assert!(self.store.delete(key).await.unwrap());
    }

    async fn insert(&self, owner: &str, insert: IndexInsert<'_>) {
        self.store.owners().unwrap().insert(hash(owner), insert).await.unwrap();
    }

    /// Entries of sessions that were written, and that nobody has. Each has a lineage of its own: two of one are taken
    /// for a session on its way to a new id, and by chance some 2,000 entries hold such a pair once in 16 times.
    async fn enter(&self, owner: &str, count: usize) {
        let mut lineages: HashSet<_> =
            self.entries(owner).await.iter().map(|key| key.lineage().to_owned()).collect();
        let all = lineages.len() + count;
        while lineages.len() < all {
            let entry = self.entry(&SessionId::generate());
            if lineages.insert(entry.key.lineage().to_owned()) {
                self.insert(owner, IndexInsert::new(&entry, HOUR, Stage::Later)).await;
            }
        }
    }

    /// That of a session which began an hour ago.
    fn entry(&self, id: &SessionId) -> Entry {
        let created_at = Timestamp::from_millis(self.clock.now().as_millis() - 3_600_000);
        Entry { key: id.key(), created_at }
    }
}

async fn signed_in(manager: &SessionManager<Values>, owner: &str) -> SessionKey {
    let session = manager.begin(None).session().await.unwrap();
    session.sign_in(owner, |_| ()).unwrap();
    session.save().await.unwrap();
    session.key().unwrap()
}

fn counts(tidied: &Tidied) -> [u64; 3] {
    [tidied.seen, tidied.owners, tidied.entries_removed]
}

async fn what_is_gone_leaves_the_index(store: impl SessionStore) {
    let service = Service::new(store);
    let manager = service.instance(|builder| builder);
    let mut adas = Vec::new();
    for _ in 0..3 {
        adas.push(signed_in(&manager, "ada").await);
    }
    let bobs = signed_in(&manager, "bob").await;
    let there = adas.pop().unwrap();
    for key in adas.iter().chain([&bobs]) {
        service.remove(key).await;
    }
    assert_eq!(counts(&manager.tidy().dry_run().await.unwrap()), [1, 2, 3]);
    assert_eq!(service.entries("ada").await.len(), 3, "that was a rehearsal");
    assert_eq!(counts(&manager.tidy().await.unwrap()), [1, 2, 3]);
    assert_eq!(service.entries("ada").await, HashSet::from([there]));
    assert_eq!(counts(&manager.tidy().await.unwrap()), [1, 1, 0], "bob's index is gone with its last entry");
    assert_eq!(manager.revoke_all("ada").await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_gone_leaves_the_index_in_redis() {
    let server = Server::start().await;
    what_is_gone_leaves_the_index(connect(server.url()).await).await;
}

#[tokio::test]
async fn what_is_gone_leaves_the_index_in_a_cluster() {
    let cluster = Cluster::start().await;
    what_is_gone_leaves_the_index(connect(cluster.url()).await).await;
}

/// The store may come first: it looks for such entries every few seconds.
#[tokio::test]
async fn what_is_gone_leaves_the_index_in_memory() {
    let service = Service::new(MemoryStore::new());
    let manager = service.instance(|builder| builder);
    let (gone, there) = (signed_in(&manager, "ada").await, signed_in(&manager, "ada").await);
    service.remove(&gone).await;
    assert!(manager.tidy().await.unwrap().entries_removed <= 1);
    assert_eq!(service.entries("ada").await, HashSet::from([there]));
}

/// Whether it is a sign-in, a session that gets another owner, or one that gets another id.
#[tokio::test]
async fn what_is_about_to_be_written_stays() {
    let server = Server::start().await;
    for store in [connect(server.url()).await as Arc<dyn SessionStore>, Arc::new(MemoryStore::new())] {
        let service = Service::new(store);
        let manager = service.instance(|builder| builder);
        let [new, old] = [SessionId::generate(), SessionId::generate()];
        let renewed = service.entry(&old.rotated());
        let [new, old] = [service.entry(&new), service.entry(&old)];
        let renewing = |stage| IndexInsert::new(&renewed, HOUR, stage).replacing(&old);
        service.insert("ada", IndexInsert::new(&new, HOUR, Stage::Before)).await;
        service.insert("ada", IndexInsert::new(&old, HOUR, Stage::After)).await;
        service.insert("ada", renewing(Stage::Before)).await;
        manager.tidy().await.unwrap();
        let all = [&new, &old, &renewed].map(|entry| entry.key.clone());
        assert_eq!(service.entries("ada").await, HashSet::from(all));
        // Their writers are told that they were there all the time.
        for insert in [IndexInsert::new(&new, HOUR, Stage::After), renewing(Stage::After)] {
            assert!(service.store.owners().unwrap().insert(hash("ada"), insert).await.unwrap().known);
        }
        manager.tidy().await.unwrap();
        assert_eq!(service.entries("ada").await, HashSet::new(), "they were written, and are gone");
    }
}

/// A store to which a session comes back while its entry is removed.
#[derive(Debug, Default)]
struct Returning {
    inner: MemoryStore,
    returns: Mutex<Option<(SessionKey, Record)>>,
}

#[async_trait]
impl SessionStore for Returning {
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
        self.inner.scan()
    }
}

#[async_trait]
impl OwnerIndex for Returning {
    async fn insert(&self, owner: OwnerHash, insert: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        self.inner.insert(owner, insert).await
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        OwnerIndex::list(&self.inner, owner, after).await
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        self.inner.revoke(owner, which).await
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        self.inner.revoked(owner).await
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        OwnerIndex::remove(&self.inner, owner, gone, missing).await?;
        let returns = self.returns.lock().unwrap().take();
        if let Some((key, record)) = returns {
            self.create(&key, &record, stage::ttl()).await?;
        }
        Ok(())
    }
}

/// As one does that an instance had in its memory while it could not reach the store.
#[tokio::test]
async fn a_session_that_comes_back_meanwhile_is_in_the_index() {
    let store = Arc::new(Returning::default());
    let service = Service::new(Arc::clone(&store));
    let manager = service.instance(|builder| builder);
    let [there, away, gone] = [(); 3].map(|()| signed_in(&manager, "ada"));
    let (there, away, gone) = (there.await, away.await, gone.await);
    let Loaded::Found(record) = store.load(&away).await.unwrap() else { panic!("it was stored") };
    service.remove(&away).await;
    service.remove(&gone).await;
    *store.returns.lock().unwrap() = Some((away.clone(), record));
    manager.tidy().await.unwrap();
    assert_eq!(store.returns.lock().unwrap().as_ref(), None, "it is back");
    assert_eq!(service.entries("ada").await, HashSet::from([there, away]));
    assert_eq!(manager.revoke_all("ada").await.unwrap(), 2);
}

#[tokio::test]
async fn an_index_of_many_pages_is_gone_through() {
    let server = Server::start().await;
    let service = Service::new(connect(server.url()).await);
    let manager = service.instance(|builder| builder);
    let there = signed_in(&manager, "ada").await;
    let many = Owned::PAGE * 2 + 1;
    service.enter("ada", many).await;
    assert_eq!(counts(&manager.tidy().await.unwrap()), [1, 1, many as u64]);
    assert_eq!(service.entries("ada").await, HashSet::from([there]));
}

/// Both indexes have each session, under keys of their own: only that of Express leads to one that Express stored.
#[tokio::test]
async fn while_layouts_change_no_session_leaves_the_index() {
    let server = Server::start().await;
    let cookie = SessionCookie::new().name("connect.sid");
    let layout = RedisLayout::express_before_move(ExpressLayout::new(cookie.clone()));
    let service = Service::new(RedisStore::builder(server.url()).layout(layout).connect().await.unwrap());
    let keys = KeyRing::express("keyboard cat").unwrap();
    let builder = SessionManager::<Values>::builder(Arc::clone(&service.store), keys).cookie(cookie);
    let manager = builder.max_scan_rate(u32::MAX).build().unwrap();
    let native = connect(server.url()).await;
    // More than one page, both taken together; and more than one of the first index, the last with room for the second's.
    for (name, many, in_native) in
        [("ada", Owned::PAGE / 2 + 10, Owned::PAGE), ("bob", Owned::PAGE + 200, 300)]
    {
        let id = |number: usize| SessionId::express(&format!("{name}-{number}")).unwrap();
        for number in 0..many {
            let mut record = stage::record();
            record.owner = Some(Owner::new(name).unwrap());
            let key = id(number).key();
            service.store.create(&key, &record, stage::ttl()).await.unwrap();
            service.insert(name, IndexInsert::new(&Entry::of(key, &record), HOUR, Stage::After)).await;
        }
        let index = native.owners().unwrap();
        let entries = index.list(hash(name), None).await.unwrap().entries;
        index.remove(hash(name), &entries[in_native.min(entries.len())..], &[]).await.unwrap();
        let there = service.entries(name).await;
        assert_eq!(manager.tidy().await.unwrap().entries_removed, 0, "{name}");
        assert_eq!(service.entries(name).await, there, "{name}");
        let gone = id(0).key();
        service.remove(&gone).await;
        manager.tidy().await.unwrap();
        assert!(!service.entries(name).await.contains(&gone), "{name}");
    }
}

/// The one that was spared may be in the memory of an instance that can't reach Redis, and its entry lets it come back.
#[tokio::test]
async fn an_owner_whose_sessions_were_revoked_is_left_alone() {
    let server = Server::start().await;
    let service = Service::new(connect(server.url()).await);
    let manager = service.instance(|builder| builder);
    let (cookie, spared) = visit(&manager, "a").await;
    signed_in(&manager, "ada").await;
    let session = manager.begin(Some(&cookie)).session().await.unwrap();
    assert_eq!(manager.revoke_others(&session).await.unwrap(), 1);
    service.remove(&spared).await;
    assert_eq!(counts(&manager.tidy().await.unwrap()), [0, 1, 0]);
    assert_eq!(service.entries("ada").await, HashSet::from([spared]));
}

/// New ids and owners are given while everything is tidied, and each is in the index as soon as its visitor has it.
#[tokio::test(flavor = "multi_thread")]
async fn no_entry_of_a_session_that_moves_is_lost() {
    let server = Server::start().await;
    let service = Service::new(connect(server.url()).await);
    let manager = service.instance(|builder| builder);
    let (mut cookie, _) = visit(&manager, "a").await;
    let tidier = manager.clone();
    let moving = tokio::spawn(async move {
        for nth in 0..300 {
            let request = manager.begin(Some(&cookie));
            let session = request.session().await.unwrap();
            let owner = ["bob", "ada"][nth / 2 % 2];
            if nth % 2 == 0 {
                session.renew().unwrap();
            } else {
                session.sign_in(owner, |_| ()).unwrap();
            }
            let actions = request.finish(200).await;
            assert!(actions.failure.is_none(), "{:?}", actions.failure);
            cookie = actions.set_cookie.unwrap().split(';').next().unwrap().to_owned();
            assert!(
                service.entries(session.owner().unwrap().as_str()).await.contains(&session.key().unwrap())
            );
        }
        (service.entries("ada").await.len(), service.entries("bob").await.len())
    });
    let mut rounds = 0;
    while !moving.is_finished() {
        tidier.tidy().await.unwrap();
        rounds += 1;
    }
    assert!(rounds > 10, "{rounds}");
    assert_eq!(moving.await.unwrap(), (1, 0));
    assert_eq!(tidier.revoke_all("ada").await.unwrap(), 1);
}

#[tokio::test]
async fn it_goes_on_among_the_owners() {
    let server = Server::start().await;
    let service = Service::new(connect(server.url()).await);
    let manager = service.instance(|builder| builder);
    for number in 0..300 {
        service.enter(&format!("visitor {number}"), 1).await;
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let all = manager.tidy().dry_run().page_size(50).on_progress(move |so_far| {
        listener.lock().unwrap().push(so_far.clone());
    });
    assert_eq!(all.await.unwrap().entries_removed, 300);
    let told = std::mem::take(&mut *told.lock().unwrap());
    let at = |removed: u64| told.iter().find(|so_far| so_far.entries_removed >= removed).unwrap();
    // The first that tells of owners at all, and one in the middle.
    for (place, left) in [(told.iter().rfind(|so_far| so_far.owners == 0).unwrap(), 300), (at(100), 200)] {
        let next = place.next.clone().expect("there is more");
        let rest = manager.tidy().dry_run().page_size(50).resume(next).await.unwrap();
        assert!(rest.entries_removed >= left.min(300 - place.entries_removed), "{place:?} {rest:?}");
        assert!(rest.seen == 0 && rest.entries_removed <= 300, "{rest:?}");
        assert!(rest.next.is_none() && rest.share > 0.999, "{rest:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_something_else_is_refused() {
    let server = Server::start().await;
    for store in [connect(server.url()).await as Arc<dyn SessionStore>, Arc::new(MemoryStore::new())] {
        let manager = Service::new(store).instance(|builder| builder);
        for strange in ["", "1", "s+", "s+1", "o+1", "o+o:", "nonsense"] {
            let tidied = manager.tidy().resume(Cursor::new(strange)).await;
            assert!(matches!(tidied, Err(Error::InvalidInput { .. })), "{strange:?}: {tidied:?}");
        }
    }
}

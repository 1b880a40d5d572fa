//! Entries of the index of owners go whose sessions ended without the index being told, and no others.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_store::owners::{Entry, IndexInsert, Owned, Stage};
use session_store::{
    Clock as _, Cursor, Error, MemoryStore, Owner, OwnerHash, SessionId, SessionKey, SessionManager,
    SessionStore, Tidied, Timestamp, Values,
};

use crate::stage::connect;
use crate::support::redis::{Cluster, Server};
use crate::tidying::{Service, visit};

const HOUR: Duration = Duration::from_secs(3600);
/// After so long, a session that is not found is not on its way any more.
const SETTLED: Duration = Duration::from_secs(66);

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

    /// Past the index: as another program does it, or Redis where it runs out of memory.
    async fn remove(&self, key: &SessionKey) {
        assert!(self.store.delete(key).await.unwrap());
    }

    /// Entries of sessions that nobody has.
    async fn enter(&self, owner: &str, count: usize) {
        let created_at = Timestamp::from_millis(self.clock.now().as_millis() - 3_600_000);
        for _ in 0..count {
            let entry = Entry { key: SessionId::generate().key(), created_at };
            let insert = IndexInsert::new(&entry, HOUR, Stage::Later);
            self.store.owners().unwrap().insert(hash(owner), insert).await.unwrap();
        }
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
    assert_eq!(counts(&manager.tidy().await.unwrap()), [1, 2, 0], "they may be on their way");
    assert_eq!(service.entries("ada").await.len(), 3);
    service.clock.advance(SETTLED);
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
    service.clock.advance(SETTLED);
    assert!(manager.tidy().await.unwrap().entries_removed <= 1);
    assert_eq!(service.entries("ada").await, HashSet::from([there]));
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
    service.clock.advance(SETTLED);
    assert_eq!(counts(&manager.tidy().await.unwrap()), [0, 1, 0]);
    assert_eq!(service.entries("ada").await, HashSet::from([spared]));
}

/// New ids are given while everything is tidied, and each is in the index as soon as its visitor has it.
#[tokio::test(flavor = "multi_thread")]
async fn no_entry_of_a_session_that_moves_is_lost() {
    let server = Server::start().await;
    let service = Service::new(connect(server.url()).await);
    let manager = service.instance(|builder| builder);
    let (mut cookie, _) = visit(&manager, "a").await;
    service.clock.advance(SETTLED);
    let tidier = manager.clone();
    let tidying = tokio::spawn(async move {
        let mut removed = 0;
        loop {
            removed += tidier.tidy().await.unwrap().entries_removed;
            if tidier.count_sessions().await.unwrap() == 0 {
                return removed;
            }
        }
    });
    let mut key = None;
    for _ in 0..300 {
        let request = manager.begin(Some(&cookie));
        let session = request.session().await.unwrap();
        session.renew().unwrap();
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        cookie = actions.set_cookie.unwrap().split(';').next().unwrap().to_owned();
        let new = session.key().unwrap();
        assert!(service.entries("ada").await.contains(&new));
        key = Some(new);
    }
    assert_eq!(service.entries("ada").await, HashSet::from([key.unwrap()]));
    assert_eq!(manager.revoke_all("ada").await.unwrap(), 1);
    tidying.await.unwrap();
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

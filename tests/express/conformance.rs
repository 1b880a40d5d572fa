//! The layouts for Express keep every promise of a store.
//!
//! The suite's sessions have ids of this crate's own and data of any kind. So it goes through a store
//! that gives each an id of Express and puts its data into an object. What the end of a session is, that
//! layout leaves to the key's time to live: the end that was written last stands in for it here, and
//! `values.rs` tests the real one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use session_store::history::HistoryPage;
use session_store::owners::{Entry, IndexInsert, IndexInserted, Owned, OwnerIndex, Revocation, Stage};
use session_store::{
    Created, Cursor, Envelope, Error, History, HistoryBounds, HistoryEntry, Loaded, OwnerHash, Payload,
    Record, RedisLayout, RedisStore, RedisStoreBuilder, Revision, Rotation, SessionId, SessionKey,
    SessionStore, Timestamp, Touch, Ttl, Update, Updated, conformance,
};

use super::stage::layout;
use crate::support::redis::{Cluster, Server};

#[derive(Clone, Debug)]
struct Disguised<S = RedisStore> {
    store: Arc<S>,
    ends: Arc<Mutex<HashMap<[u8; 8], Timestamp>>>,
    /// The suite's keys, by what the store has for them.
    keys: Arc<Mutex<HashMap<SessionKey, SessionKey>>>,
}

impl<S: SessionStore> Disguised<S> {
    fn new(store: S) -> Self {
        Self { store: Arc::new(store), ends: Arc::default(), keys: Arc::default() }
    }

    fn written(&self, record: &Record) -> Record {
        let data = Payload::new(1, object(&record.data));
        self.note(record.revision, record.expires_at);
        // Through the envelope, which is how a record is copied outside of the crate.
        let mut record = copy(record);
        record.data = data;
        record
    }

    fn read(&self, record: &Record) -> Record {
        let mut record = copy(record);
        let object: (u8, Vec<u8>) = {
            let object: serde_json::Value = serde_json::from_slice(record.data.bytes()).unwrap();
            serde_json::from_value(object["payload"].clone()).unwrap()
        };
        record.data = Payload::new(object.0, object.1);
        record.expires_at = self.ends.lock().unwrap()[&record.revision.to_bytes()];
        record
    }

    fn note(&self, revision: Revision, expires_at: Timestamp) {
        self.ends.lock().unwrap().insert(revision.to_bytes(), expires_at);
    }

    fn updated(&self, outcome: Updated) -> Updated {
        match outcome {
            Updated::Stale(record) => Updated::Stale(self.read(&record)),
            outcome => outcome,
        }
    }
}

fn object(data: &Payload) -> String {
    serde_json::json!({ "payload": (data.codec(), &data.bytes()[..]) }).to_string()
}

fn copy(record: &Record) -> Record {
    let key = SessionId::generate().key();
    match Envelope::from_bytes(&key, record.to_bytes().into()) {
        Ok(Envelope::Record(record)) => record,
        other => panic!("a record is not read back: {other:?}"),
    }
}

/// A key of an id that Express could have given, of the same lineage.
fn disguise(key: &SessionKey) -> SessionKey {
    SessionId::express(&key.storage_name().replace(['{', '}', ':'], "")).expect("an id of Express").key()
}

#[async_trait]
impl<S: SessionStore> SessionStore for Disguised<S> {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        Ok(match self.store.load(&disguise(key)).await? {
            Loaded::Found(record) => Loaded::Found(self.read(&record)),
            other => other,
        })
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.store.create(&disguise(key), &self.written(record), ttl).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let (key, record) = (disguise(update.key), self.written(update.record));
        let mut update = update;
        (update.key, update.record) = (&key, &record);
        let outcome = self.store.update(update).await?;
        Ok(self.updated(outcome))
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        let key = disguise(touch.key);
        let mut disguised = touch;
        disguised.key = &key;
        let touched = self.store.touch(disguised).await?;
        if touched {
            self.note(touch.expected, touch.expires_at);
        }
        Ok(touched)
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        let (old, new) = (disguise(rotation.old), disguise(rotation.new));
        let record = self.written(rotation.record);
        let outcome = self.store.rotate(Rotation::new(&old, &new, &record, rotation.ttl)).await?;
        Ok(self.updated(outcome))
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.store.delete(&disguise(key)).await
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        Some(self)
    }

    fn history(&self) -> Option<&dyn History> {
        self.store.history()
    }
}

impl<S> Disguised<S> {
    fn entered(&self, entry: &Entry) -> Entry {
        let key = disguise(&entry.key);
        self.keys.lock().unwrap().insert(key.clone(), entry.key.clone());
        Entry { key, ..*entry }
    }

    fn listed(&self, entries: &[Entry]) -> Vec<Entry> {
        let keys = self.keys.lock().unwrap();
        entries.iter().map(|entry| Entry { key: keys[&entry.key].clone(), ..*entry }).collect()
    }
}

#[async_trait]
impl<S: SessionStore> OwnerIndex for Disguised<S> {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let entered = |entry| self.entered(entry);
        let (entry, replaces) = (entered(entering.entry), entering.replaces.map(entered));
        let mut disguised = IndexInsert::new(&entry, entering.life, entering.stage);
        (disguised.replaces, disguised.limit) = (replaces.as_ref(), entering.limit);
        let mut inserted = self.store.owners().unwrap().insert(owner, disguised).await?;
        inserted.revoked = self.listed(&inserted.revoked);
        Ok(inserted)
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        let mut owned = self.store.owners().unwrap().list(owner, after).await?;
        owned.entries = self.listed(&owned.entries);
        owned.pending = self.listed(&owned.pending);
        owned.revoked = self.listed(&owned.revoked);
        Ok(owned)
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        let index = self.store.owners().unwrap();
        match which {
            Revocation::All => index.revoke(owner, Revocation::All).await,
            Revocation::AllBut(entry) => index.revoke(owner, Revocation::AllBut(&self.entered(entry))).await,
            Revocation::One(entry) => index.revoke(owner, Revocation::One(&self.entered(entry))).await,
        }
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        Ok(self.listed(&self.store.owners().unwrap().revoked(owner).await?))
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        let [gone, missing] =
            [gone, missing].map(|some| some.iter().map(|entry| self.entered(entry)).collect::<Vec<_>>());
        self.store.owners().unwrap().remove(owner, &gone, &missing).await
    }
}

mod on_one_server {
    use super::*;

    session_store::conformance_tests! {
        let server = Server::start().await;
        Disguised::new(RedisStore::builder(server.url()).layout(RedisLayout::express(layout())).connect().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_on_a_cluster() {
    let cluster = Cluster::start().await;
    keeps_every_promise(RedisStore::builder(cluster.url()).layout(RedisLayout::express(layout()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_while_the_other_layout_is_read_too() {
    let server = Server::start().await;
    let store = || RedisStore::builder(server.url());
    keeps_every_promise(store().layout(RedisLayout::express_before_move(layout()))).await;
    keeps_every_promise_of_the_step_before(
        store(),
        store().layout(RedisLayout::express_before_move(layout())),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_while_leaving() {
    let server = Server::start().await;
    let store = || RedisStore::builder(server.url());
    keeps_every_promise(store().layout(RedisLayout::move_to_native(layout()))).await;
    keeps_every_promise_of_the_step_before(
        store().layout(RedisLayout::express(layout())),
        store().layout(RedisLayout::move_to_native(layout())),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_is_kept_while_leaving_on_a_cluster() {
    let cluster = Cluster::start().await;
    let store = || RedisStore::builder(cluster.url());
    keeps_every_promise_of_the_step_before(
        store().layout(RedisLayout::express(layout())),
        store().layout(RedisLayout::move_to_native(layout())),
    )
    .await;
}

async fn keeps_every_promise(store: RedisStoreBuilder) {
    let store = Disguised::new(store.connect().await.unwrap());
    conformance::all(Arc::new(store)).await.unwrap();
}

async fn keeps_every_promise_of_the_step_before(before: RedisStoreBuilder, now: RedisStoreBuilder) {
    let (before, now) = (before.connect().await.unwrap(), now.connect().await.unwrap());
    conformance::all(Arc::new(Disguised::new(Stepped { before, now }))).await.unwrap();
}

/// Sessions that one step made, used at the next.
#[derive(Debug)]
struct Stepped {
    before: RedisStore,
    now: RedisStore,
}

#[async_trait]
impl SessionStore for Stepped {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.now.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        // Nobody uses a session before it is made. The suite does, and then replays the making of it.
        match self.now.load(key).await? {
            Loaded::Absent => self.before.create(key, record, ttl).await,
            Loaded::Found(it) if it.previous_revision == Some(record.revision) => Ok(Created::Created),
            Loaded::Found(it) if it.revision == record.revision => Ok(Created::Created),
            _ => Ok(Created::Taken),
        }
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.now.update(update).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.now.touch(touch).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.now.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.now.delete(key).await
    }

    fn owners(&self) -> Option<&dyn OwnerIndex> {
        Some(self)
    }

    fn history(&self) -> Option<&dyn History> {
        Some(self)
    }
}

/// Recorded at the step before, everything else at the present one.
#[async_trait]
impl History for Stepped {
    async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        bounds: HistoryBounds,
    ) -> Result<(), Error> {
        self.before.record(owner, entry, bounds).await
    }

    async fn list(
        &self,
        owner: OwnerHash,
        bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error> {
        History::list(&self.now, owner, bounds, now).await
    }

    async fn forget(&self, owner: OwnerHash, now: Timestamp) -> Result<u64, Error> {
        self.now.forget(owner, now).await
    }

    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error> {
        self.now.page(cursor, size).await
    }
}

/// Inserted at the step before, everything else at the present one.
#[async_trait]
impl OwnerIndex for Stepped {
    async fn insert(&self, owner: OwnerHash, entering: IndexInsert<'_>) -> Result<IndexInserted, Error> {
        let store = if entering.stage == Stage::Before { &self.before } else { &self.now };
        store.insert(owner, entering).await
    }

    async fn list(&self, owner: OwnerHash, after: Option<&Cursor>) -> Result<Owned, Error> {
        OwnerIndex::list(&self.now, owner, after).await
    }

    async fn revoked(&self, owner: OwnerHash) -> Result<Vec<Entry>, Error> {
        self.now.revoked(owner).await
    }

    async fn revoke(&self, owner: OwnerHash, which: Revocation<'_>) -> Result<(), Error> {
        self.now.revoke(owner, which).await
    }

    async fn remove(&self, owner: OwnerHash, gone: &[Entry], missing: &[Entry]) -> Result<(), Error> {
        self.now.remove(owner, gone, missing).await
    }
}

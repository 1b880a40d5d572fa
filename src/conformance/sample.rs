//! Sessions to test with, and the store's operations as futures that can be spawned.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::record::{Owner, OwnerHash, Payload, Record};
use crate::store::{Loaded, Rotation, SessionStore, Touch, Update, Updated};
use crate::ttl::Ttl;

pub(super) type Store = Arc<dyn SessionStore>;

/// How often a race is run. Who wins it is left to chance.
pub(super) const ROUNDS: usize = 300;
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn hour() -> Ttl {
    Ttl::new(HOUR)
}

pub(super) fn in_one_hour() -> Timestamp {
    SystemClock.now().saturating_add(HOUR)
}

pub(super) fn data(text: impl Into<Bytes>) -> Payload {
    Payload::new(1, text)
}

/// An owner whom no other test knows.
pub(super) fn somebody() -> OwnerHash {
    OwnerHash::of(&Owner::new(SessionId::generate().as_str()).expect("a short name"))
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) key: SessionKey,
    pub(super) record: Record,
}

impl Session {
    /// A session of a visitor that the store has not seen.
    pub(super) fn fresh() -> Self {
        let id = SessionId::generate();
        let record = Record::new(SystemClock.now(), in_one_hour(), data(r#"{"cart":[]}"#));
        Self { key: id.key(), id, record }
    }

    pub(super) async fn created(store: &Store) -> Result<Self, Error> {
        Self::created_for(store, HOUR).await
    }

    pub(super) async fn created_for(store: &Store, life: Duration) -> Result<Self, Error> {
        let session = Self::fresh();
        store.create(&session.key, &session.record, Ttl::new(life)).await?;
        Ok(session)
    }

    /// What a request that read this session would store.
    pub(super) fn edited(&self, text: &'static str) -> Record {
        Record { data: data(text), ..self.record.next() }
    }

    /// What a request that gives this session a new id would store.
    pub(super) fn renewed(&self) -> Self {
        let id = self.id.rotated();
        Self { key: id.key(), id, record: self.edited(r#"{"renewed":true}"#) }
    }
}

pub(super) async fn assert_holds(store: &Store, session: &Session, why: &str) -> Result<(), Error> {
    let loaded = store.load(&session.key).await?;
    assert_eq!(loaded, Loaded::Found(session.record.clone()), "{why}");
    Ok(())
}

pub(super) async fn assert_absent(store: &Store, session: &Session, why: &str) -> Result<(), Error> {
    assert_eq!(store.load(&session.key).await?, Loaded::Absent, "{why}");
    Ok(())
}

/// Updates to a record that was made by [`Record::next`].
pub(super) fn save(
    store: &Store,
    session: &Session,
    record: &Record,
) -> impl Future<Output = Result<Updated, Error>> + Send + use<> {
    let (store, session, record) = (Arc::clone(store), session.clone(), record.clone());
    async move { store.update(Update::new(&session.key, &record, hour()).replacing(&session.record)).await }
}

/// The same, following the marker of a rotation.
pub(super) fn follow(
    store: &Store,
    session: &Session,
    record: &Record,
) -> impl Future<Output = Result<Updated, Error>> + Send + use<> {
    let (store, key, record) = (Arc::clone(store), session.key.clone(), record.clone());
    async move { store.update(Update::new(&key, &record, hour()).following()).await }
}

pub(super) fn touch(
    store: &Store,
    session: &Session,
    expires_at: Timestamp,
) -> impl Future<Output = Result<bool, Error>> + Send + use<> {
    let (store, session) = (Arc::clone(store), session.clone());
    async move { store.touch(Touch::new(&session.key, &session.record, expires_at, hour())).await }
}

/// Moves `from` to `to`, which was made by [`Session::renewed`].
pub(super) fn rotate(
    store: &Store,
    from: &Session,
    to: &Session,
) -> impl Future<Output = Result<Updated, Error>> + Send + use<> {
    let (store, old, new, record) = (Arc::clone(store), from.key.clone(), to.key.clone(), to.record.clone());
    async move { store.rotate(Rotation::new(&old, &new, &record, hour())).await }
}

pub(super) fn delete(
    store: &Store,
    session: &Session,
) -> impl Future<Output = Result<bool, Error>> + Send + use<> {
    let (store, key) = (Arc::clone(store), session.key.clone());
    async move { store.delete(&key).await }
}

/// Runs both at once; which one starts first alternates with the rounds.
pub(super) async fn race<A: Send + 'static, B: Send + 'static>(
    round: usize,
    a: impl Future<Output = Result<A, Error>> + Send + 'static,
    b: impl Future<Output = Result<B, Error>> + Send + 'static,
) -> Result<(A, B), Error> {
    let (a, b) = if round.is_multiple_of(2) {
        let a = tokio::spawn(a);
        (a, tokio::spawn(b))
    } else {
        let b = tokio::spawn(b);
        (tokio::spawn(a), b)
    };
    Ok((a.await.expect("the store does not panic")?, b.await.expect("the store does not panic")?))
}

//! tower-sessions, through its `Session`, as its middleware and its users' handlers call it.

use std::hint::black_box;
use std::sync::Arc;

use time::OffsetDateTime;
use tower_sessions::session::{Id, Record};
use tower_sessions::{Expiry, Session, SessionStore};

use super::{Contender, Operation};
use crate::payload::{DAY, KEY, Shopper};
use crate::support::Worker;

#[derive(Debug)]
pub struct TowerSessions<S> {
    store: Arc<S>,
}

impl<S: SessionStore> TowerSessions<S> {
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store) }
    }
}

// Derived, it would ask for `S: Clone`.
impl<S> Clone for TowerSessions<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store) }
    }
}

impl<S: SessionStore> Contender for TowerSessions<S> {
    type Visitor = Visitor<S>;

    async fn visitor(&self, operation: Operation) -> Visitor<S> {
        let store = Arc::clone(&self.store);
        let id = create(&store).await;
        let record = store.load(&id).await.expect("the store answers").expect("it was stored");
        Visitor { store, operation, record, shopper: Shopper::ada() }
    }
}

pub struct Visitor<S> {
    store: Arc<S>,
    operation: Operation,
    record: Record,
    shopper: Shopper,
}

impl<S: SessionStore> Visitor<S> {
    async fn read(&self) -> Session {
        let session = session(&self.store, Some(self.record.id));
        let shopper: Option<Shopper> = session.get(KEY).await.expect("the store answers");
        black_box(shopper.expect("it was stored").visits);
        session
    }
}

impl<S: SessionStore> Worker for Visitor<S> {
    async fn step(&mut self) {
        match self.operation {
            Operation::Load => {
                self.read().await;
            }
            // What `always_save` has the middleware do after the handler.
            Operation::Roll => self.read().await.save().await.expect("the store answers"),
            Operation::Save => {
                self.shopper.visits += 1;
                let value = serde_json::to_value(&self.shopper).expect("it has a JSON form");
                self.record.data.insert(KEY.to_owned(), value);
                self.record.expiry_date = OffsetDateTime::now_utc() + DAY;
                self.store.save(&self.record).await.expect("the store answers");
            }
            Operation::Create => {
                black_box(create(&self.store).await);
            }
            other => unreachable!("tower-sessions has no {other:?}"),
        }
    }
}

fn session<S: SessionStore>(store: &Arc<S>, id: Option<Id>) -> Session {
    let day = time::Duration::try_from(DAY).expect("a day is not long");
    Session::new(id, Arc::clone(store), Some(Expiry::OnInactivity(day)))
}

async fn create<S: SessionStore>(store: &Arc<S>) -> Id {
    let session = session(store, None);
    session.insert(KEY, Shopper::ada()).await.expect("it has a JSON form");
    session.save().await.expect("the store answers");
    session.id().expect("it was stored")
}

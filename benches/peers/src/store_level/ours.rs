//! session-store: its stores by themselves, and a whole request through the manager.

use std::hint::black_box;
use std::sync::Arc;

use session_store::{
    Clock as _, Codec, Created, KeyRing, Loaded, Record, SessionId, SessionKey, SessionManager, SessionStore,
    SystemClock, Timestamp, Touch, Ttl, Update, Updated,
};

use super::{Contender, Operation};
use crate::payload::{DAY, Shopper, greeting};
use crate::support::Worker;

/// The engine's: a touch waits until it gains a tenth of the idle time.
const TOUCH_SHARE: u32 = 10;

/// A store without the engine, and a codec.
#[derive(Debug)]
pub struct Ours<S> {
    store: Arc<S>,
    codec: Codec,
    fresh_key: fn() -> SessionKey,
}

impl<S: SessionStore> Ours<S> {
    pub fn new(store: &Arc<S>, codec: Codec) -> Self {
        Self { store: Arc::clone(store), codec, fresh_key: || SessionId::generate().key() }
    }

    /// In Express' layout, which has sessions under their ids.
    pub fn express(store: &Arc<S>) -> Self {
        let fresh_key = || SessionId::express(SessionId::generate().as_str()).expect("it is text").key();
        Self { fresh_key, ..Self::new(store, Codec::Json) }
    }
}

// Derived, it would ask for `S: Clone`.
impl<S: SessionStore> Clone for Ours<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), ..*self }
    }
}

impl<S: SessionStore> Contender for Ours<S> {
    type Visitor = Visitor<S>;

    async fn visitor(&self, operation: Operation) -> Visitor<S> {
        let Self { store, codec, fresh_key } = self.clone();
        let (key, record) = (fresh_key(), record(codec));
        let mut visitor =
            Visitor { store, codec, fresh_key, operation, key, record, shopper: Shopper::ada() };
        visitor.create().await;
        visitor
    }
}

pub struct Visitor<S> {
    store: Arc<S>,
    codec: Codec,
    fresh_key: fn() -> SessionKey,
    operation: Operation,
    key: SessionKey,
    record: Record,
    shopper: Shopper,
}

impl<S: SessionStore> Visitor<S> {
    async fn load(&self) -> Record {
        match self.store.load(&self.key).await.expect("the store answers") {
            Loaded::Found(record) => record,
            other => panic!("the session is there, not {other:?}"),
        }
    }

    async fn touch(&mut self, record: &Record, expires_at: Timestamp) {
        let touched = self.store.touch(Touch::new(&self.key, record, expires_at, Ttl::new(DAY))).await;
        assert!(touched.expect("the store answers"));
    }

    async fn update(&mut self, record: Record) {
        let update = Update::new(&self.key, &record, Ttl::new(DAY)).replacing(&self.record);
        let updated = self.store.update(update).await;
        assert_eq!(updated.expect("the store answers"), Updated::Updated);
        self.record = record;
    }

    async fn create(&mut self) {
        let created = self.store.create(&self.key, &self.record, Ttl::new(DAY)).await;
        assert_eq!(created.expect("the store answers"), Created::Created);
    }
}

impl<S: SessionStore> Worker for Visitor<S> {
    async fn step(&mut self) {
        match self.operation {
            Operation::LoadBytes => {
                black_box(self.load().await);
            }
            Operation::Load => {
                let record = self.load().await;
                decode(&record);
            }
            Operation::Roll => {
                let record = self.load().await;
                decode(&record);
                let next = SystemClock.now().saturating_add(DAY);
                if next.saturating_since(record.expires_at) >= DAY / TOUCH_SHARE {
                    self.touch(&record, next).await;
                }
            }
            Operation::RollAlways => {
                let record = self.load().await;
                decode(&record);
                // Later than before in any case, or else there would be nothing to touch.
                let next = Timestamp::from_millis(record.expires_at.as_millis() + 1);
                self.touch(&record, next).await;
            }
            Operation::SaveBytes => {
                let record = self.record.next();
                self.update(record).await;
            }
            Operation::Save => {
                let mut record = self.record.next();
                self.shopper.visits += 1;
                record.data = self.codec.encode(&self.shopper).expect("it has this form");
                self.update(record).await;
            }
            Operation::Create => {
                (self.key, self.record) = ((self.fresh_key)(), record(self.codec));
                self.create().await;
            }
        }
    }
}

fn decode(record: &Record) {
    let shopper: Arc<Shopper> = record.data.decode().expect("it was encoded so");
    black_box(shopper.visits);
}

fn record(codec: Codec) -> Record {
    let (now, data) = (SystemClock.now(), codec.encode(&Shopper::ada()).expect("it has this form"));
    let mut record = Record::new(now, now.saturating_add(DAY), data);
    record.idle_timeout = Some(DAY);
    record
}

/// The whole of what an application calls for a request: the cookie is verified, the session read,
/// and the response decided.
#[derive(Clone, Debug)]
pub struct Managed {
    manager: SessionManager<Shopper>,
}

impl Managed {
    pub fn new(store: impl SessionStore, codec: Codec) -> Self {
        let manager = SessionManager::builder(store, KeyRing::generate()).codec(codec);
        Self { manager: manager.build().expect("the settings agree") }
    }
}

impl Contender for Managed {
    type Visitor = Browser;

    async fn visitor(&self, operation: Operation) -> Browser {
        let manager = self.manager.clone();
        let cookie = create(&manager).await;
        Browser { manager, operation, cookie }
    }
}

pub struct Browser {
    manager: SessionManager<Shopper>,
    operation: Operation,
    cookie: String,
}

impl Worker for Browser {
    async fn step(&mut self) {
        match self.operation {
            Operation::Create => self.cookie = create(&self.manager).await,
            // By the default policy, a read-only request is a rolling one.
            Operation::Load | Operation::Roll => {
                let request_session = self.manager.begin(Some(&self.cookie));
                let session = request_session.session().await.expect("the store answers");
                assert!(session.read(|shopper| black_box(shopper.visits)) > 0);
                assert!(request_session.finish(200).await.failure.is_none());
            }
            other => unreachable!("{other:?} is measured without the manager"),
        }
    }
}

/// A first request; answers what the browser sends from then on.
async fn create(manager: &SessionManager<Shopper>) -> String {
    let request_session = manager.begin(None);
    let session = request_session.session().await.expect("nothing is asked for yet");
    session.write(|shopper| *shopper = Shopper::ada()).expect("the response is not on its way");
    assert!(session.read(greeting).is_some());
    let header = request_session.finish(200).await.set_cookie.expect("there is something to remember");
    header.split(';').next().unwrap_or_default().to_owned()
}

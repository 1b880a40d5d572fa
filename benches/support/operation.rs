//! The operations of a store, each as something that a task does over and over.

use std::sync::Arc;
use std::time::Duration;

use session_store::{
    Clock as _, Created, Loaded, Payload, Record, Rotation, SessionId, SessionKey, SessionStore, SystemClock,
    Timestamp, Touch, Ttl, Update, Updated,
};

use super::shopper::Shopper;
use super::{Worker, share};

pub const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Load,
    LoadMiss,
    Create,
    Update,
    Touch,
    Rotate,
    Delete,
}

impl Operation {
    pub const ALL: [Self; 7] =
        [Self::Load, Self::LoadMiss, Self::Create, Self::Update, Self::Touch, Self::Rotate, Self::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::LoadMiss => "load (miss)",
            Self::Create => "create",
            Self::Update => "update",
            Self::Touch => "touch",
            Self::Rotate => "rotate",
            Self::Delete => "delete",
        }
    }

    /// So many callers as `tasks`, ready to take `steps` together. What a request would bring
    /// along, such as the hash of its id, is prepared here and not measured.
    pub async fn callers<S: SessionStore>(self, store: &Arc<S>, tasks: u64, steps: u64) -> Vec<Caller<S>> {
        let ready = |task| tokio::spawn(Caller::ready(Arc::clone(store), self, share(steps, tasks, task)));
        let preparing: Vec<_> = (0..tasks).map(ready).collect();
        let mut callers = Vec::with_capacity(preparing.len());
        for caller in preparing {
            callers.push(caller.await.expect("a session can be created"));
        }
        callers
    }
}

/// One task's client of a store, with a session of its own.
pub struct Caller<S> {
    store: Arc<S>,
    operation: Operation,
    key: SessionKey,
    record: Record,
    /// One key for each step that uses one up.
    ahead: Vec<SessionKey>,
}

impl<S: SessionStore> Caller<S> {
    async fn ready(store: Arc<S>, operation: Operation, steps: u64) -> Self {
        let id = SessionId::generate();
        let next_key = || match operation {
            Operation::Rotate => id.rotated().key(),
            _ => SessionId::generate().key(),
        };
        let ahead: Vec<_> = match operation {
            Operation::Create | Operation::Rotate | Operation::Delete => {
                (0..steps).map(|_| next_key()).collect()
            }
            _ => Vec::new(),
        };
        let caller = Self { store, operation, key: id.key(), record: record(), ahead };
        if operation != Operation::LoadMiss {
            caller.create(&caller.key).await;
        }
        if operation == Operation::Delete {
            for key in &caller.ahead {
                caller.create(key).await;
            }
        }
        caller
    }

    fn next_key(&mut self) -> SessionKey {
        self.ahead.pop().expect("one for each step")
    }

    async fn create(&self, key: &SessionKey) {
        let created = self.store.create(key, &self.record, Ttl::new(DAY)).await;
        assert_eq!(created.expect("the store answers"), Created::Created);
    }
}

impl<S: SessionStore> Worker for Caller<S> {
    async fn step(&mut self) {
        match self.operation {
            Operation::Load => {
                let loaded = self.store.load(&self.key).await.expect("the store answers");
                assert!(matches!(loaded, Loaded::Found(_)));
            }
            Operation::LoadMiss => {
                let loaded = self.store.load(&self.key).await.expect("the store answers");
                assert!(matches!(loaded, Loaded::Absent));
            }
            Operation::Create => {
                let key = self.next_key();
                self.create(&key).await;
            }
            Operation::Update => {
                let record = self.record.next();
                let update = Update::new(&self.key, &record, Ttl::new(DAY)).replacing(&self.record);
                let updated = self.store.update(update).await;
                assert_eq!(updated.expect("the store answers"), Updated::Updated);
                self.record = record;
            }
            Operation::Touch => {
                let later = Timestamp::from_millis(self.record.expires_at.as_millis() + 1);
                let touch = Touch::new(&self.key, &self.record, later, Ttl::new(DAY));
                assert!(self.store.touch(touch).await.expect("the store answers"));
                self.record.expires_at = later;
            }
            Operation::Rotate => {
                let (new, record) = (self.next_key(), self.record.next());
                let rotation = Rotation::new(&self.key, &new, &record, Ttl::new(DAY));
                let updated = self.store.rotate(rotation).await;
                assert_eq!(updated.expect("the store answers"), Updated::Updated);
                (self.key, self.record) = (new, record);
            }
            Operation::Delete => {
                let key = self.next_key();
                assert!(self.store.delete(&key).await.expect("the store answers"));
            }
        }
    }
}

/// A shopper's session as the engine would store it.
pub fn record() -> Record {
    let now = SystemClock.now();
    let data = Payload::new(1, Shopper::json());
    let mut record = Record::new(now, now.saturating_add(DAY), data);
    record.idle_timeout = Some(DAY);
    record
}

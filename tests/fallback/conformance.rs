//! Every promise of a store holds above a healthy primary, under each policy; and for sessions that
//! were born in an outage while it lasts.

use async_trait::async_trait;
use session_store::{
    Created, Error, FallbackPolicy, FallbackStore, Loaded, MemoryStore, Record, Rotation, SessionKey,
    SessionStore, Touch, Ttl, Update, Updated,
};

use crate::primary::{Mode, Primary};

mod healthy_never {
    session_store::conformance_tests!(super::healthy(super::FallbackPolicy::Never));
}

mod healthy_at_start {
    session_store::conformance_tests!(super::healthy(super::FallbackPolicy::AtStart));
}

mod healthy_while_down {
    session_store::conformance_tests!(super::healthy(super::FallbackPolicy::WhileDown));
}

mod down_at_start {
    session_store::conformance_tests!(super::BornInAnOutage::new(super::FallbackPolicy::AtStart));
}

mod down_while_down {
    session_store::conformance_tests!(super::BornInAnOutage::new(super::FallbackPolicy::WhileDown));
}

fn healthy(policy: FallbackPolicy) -> FallbackStore {
    FallbackStore::new(MemoryStore::new(), policy)
}

/// A store whose primary stays away. All sessions of a test are born in this outage, so what memory
/// does not hold (any more) is not there, which the store itself can't know.
#[derive(Debug)]
struct BornInAnOutage(FallbackStore);

impl BornInAnOutage {
    fn new(policy: FallbackPolicy) -> Self {
        let primary = Primary::default();
        primary.goes(Mode::Down);
        Self(FallbackStore::new(primary, policy))
    }
}

fn unless_unavailable<A>(result: Result<A, Error>, otherwise: A) -> Result<A, Error> {
    match result {
        Err(Error::Unavailable { .. }) => Ok(otherwise),
        result => result,
    }
}

#[async_trait]
impl SessionStore for BornInAnOutage {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        unless_unavailable(self.0.load(key).await, Loaded::Absent)
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.0.create(key, record, ttl).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        unless_unavailable(self.0.update(update).await, Updated::Missing)
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        unless_unavailable(self.0.touch(touch).await, false)
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        unless_unavailable(self.0.rotate(rotation).await, Updated::Missing)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        // What is not there would be owed, and its key not to be used any more.
        if self.load(key).await? == Loaded::Absent {
            return Ok(false);
        }
        unless_unavailable(self.0.delete(key).await, true)
    }
}

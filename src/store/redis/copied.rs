//! Copies of the store's sessions in this process, if it was told to keep any.

#[cfg(not(feature = "memory"))]
mod no_copies;
#[cfg(feature = "memory")]
mod own_copies;

#[cfg(feature = "json")]
use std::time::Duration;

#[cfg(not(feature = "memory"))]
use self::no_copies::OwnCopies;
#[cfg(feature = "memory")]
use self::own_copies::OwnCopies;
use super::{Answer, RedisStore};
#[cfg(feature = "memory")]
use crate::error::Error;
use crate::id::SessionKey;
use crate::store::Loaded;
#[cfg(feature = "memory")]
use crate::store::near_cache::NearCache;
use crate::store::status::StoreStatus;

#[derive(Debug, Default)]
pub(super) struct Copied(Option<OwnCopies>);

impl Copied {
    #[cfg(feature = "memory")]
    pub(super) fn new(near_cache: &NearCache) -> Result<Self, Error> {
        Ok(Self(Some(OwnCopies::new(near_cache)?)))
    }

    /// Those of another store on the same connections, in the same bytes.
    pub(super) fn beside(&self) -> Self {
        Self(self.0.as_ref().map(OwnCopies::beside))
    }

    /// Has `store`, whose copies these are, tell of changes. The first operation does so, too.
    #[cfg(feature = "memory")]
    pub(super) fn begin(&self, store: &RedisStore) {
        if let Some(own) = &self.0 {
            own.of(store);
        }
    }

    pub(super) fn load<'f>(&'f self, store: &'f RedisStore, key: &'f SessionKey) -> Answer<'f, Loaded> {
        match &self.0 {
            Some(own) => Box::pin(own.of(store).load(store, key)),
            None => store.layout().load(key),
        }
    }

    pub(super) fn load_fresh<'f>(&'f self, store: &'f RedisStore, key: &'f SessionKey) -> Answer<'f, Loaded> {
        match &self.0 {
            Some(own) => Box::pin(own.of(store).load_fresh(store, key)),
            None => store.layout().load(key),
        }
    }

    /// A write of the session of `key`, or of one that it became.
    pub(super) fn during<'f, A: Send + 'f>(
        &'f self,
        store: &'f RedisStore,
        key: &'f SessionKey,
        write: Answer<'f, A>,
    ) -> Answer<'f, A> {
        match &self.0 {
            Some(own) => Box::pin(own.of(store).during(key, write)),
            None => write,
        }
    }

    /// How old a copy may be.
    #[cfg(feature = "json")]
    pub(super) fn oldest(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, OwnCopies::bound)
    }

    pub(super) fn add_to(&self, status: StoreStatus, store: &RedisStore) -> StoreStatus {
        match &self.0 {
            Some(own) => own.add_to(status, store),
            None => status,
        }
    }
}

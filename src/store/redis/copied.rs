//! Copies of the store's sessions in this process, if it was told to keep any.

use std::sync::Arc;
#[cfg(feature = "json")]
use std::time::Duration;

use super::{Answer, RedisStore};
#[cfg(feature = "memory")]
use crate::error::Error;
use crate::id::SessionKey;
use crate::store::Loaded;
#[cfg(feature = "memory")]
use crate::store::near_cache::{NearCache, NearCopies};
use crate::store::status::StoreStatus;
#[cfg(not(feature = "memory"))]
use no_copies::NearCopies;

#[cfg(not(feature = "memory"))]
mod no_copies;

#[derive(Debug, Default)]
pub(super) struct Copied(Option<Arc<NearCopies>>);

impl Copied {
    #[cfg(feature = "memory")]
    pub(super) fn of(near_cache: NearCache, store: &RedisStore) -> Result<Self, Error> {
        near_cache.keep_of(store).map(|copies| Self(Some(copies)))
    }

    pub(super) fn load<'f>(&'f self, store: &'f RedisStore, key: &'f SessionKey) -> Answer<'f, Loaded> {
        match &self.0 {
            Some(copies) => Box::pin(copies.load(store, key)),
            None => store.layout().load(key),
        }
    }

    pub(super) fn load_fresh<'f>(&'f self, store: &'f RedisStore, key: &'f SessionKey) -> Answer<'f, Loaded> {
        match &self.0 {
            Some(copies) => Box::pin(copies.load_fresh(store, key)),
            None => store.layout().load(key),
        }
    }

    /// A write of the session of `key`, or of one that it became.
    pub(super) fn during<'f, A: Send + 'f>(
        &'f self,
        key: &'f SessionKey,
        write: Answer<'f, A>,
    ) -> Answer<'f, A> {
        match &self.0 {
            Some(copies) => Box::pin(copies.during(key, write)),
            None => write,
        }
    }

    /// How old a copy may be.
    #[cfg(feature = "json")]
    pub(super) fn oldest(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |copies| copies.bound())
    }

    pub(super) fn add_to(&self, status: StoreStatus, store: &RedisStore) -> StoreStatus {
        match &self.0 {
            Some(copies) => copies.add_to(status, store),
            None => status,
        }
    }
}

//! The copies of one store, in bytes that it may share with others.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::error::Error;
use crate::store::near_cache::{KeptCopies, NearCache, NearCacheStatus, NearCopies};
use crate::store::redis::RedisStore;
use crate::store::status::StoreStatus;

#[derive(Debug)]
pub(super) struct OwnCopies {
    kept: Arc<KeptCopies>,
    bound: Duration,
    /// Nothing, and nobody is told of changes, until the store is used.
    copies: OnceLock<Arc<NearCopies>>,
}

impl OwnCopies {
    pub(super) fn new(near_cache: &NearCache) -> Result<Self, Error> {
        Ok(Self { kept: near_cache.kept()?, bound: near_cache.oldest(), copies: OnceLock::new() })
    }

    pub(super) fn beside(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), bound: self.bound, copies: OnceLock::new() }
    }

    pub(super) fn of(&self, store: &RedisStore) -> &NearCopies {
        self.copies.get_or_init(|| NearCopies::of(store, &self.kept, self.bound))
    }

    #[cfg(feature = "json")]
    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    pub(super) fn add_to(&self, status: StoreStatus, store: &RedisStore) -> StoreStatus {
        match self.copies.get() {
            Some(copies) => copies.add_to(status, store),
            None => StoreStatus { near_cache: Some(NearCacheStatus::default()), ..status },
        }
    }
}

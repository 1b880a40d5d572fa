//! Copies of the store's sessions in this process, if it was told to keep any. The type of copies comes with the feature
//! `memory`; without it there are none.

#[cfg(feature = "memory")]
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

#[cfg(feature = "memory")]
#[derive(Debug, Default)]
pub(super) struct Copied(Option<Arc<NearCopies>>);

#[cfg(not(feature = "memory"))]
#[derive(Debug, Default)]
pub(super) struct Copied;

#[cfg(feature = "memory")]
impl Copied {
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
    pub(super) fn during<'f, A: 'f>(&'f self, key: &'f SessionKey, write: Answer<'f, A>) -> Answer<'f, A> {
        match &self.0 {
            Some(copies) => {
                let writing = copies.writing(key);
                Box::pin(async move {
                    let _writing = writing;
                    write.await
                })
            }
            None => write,
        }
    }

    #[cfg(feature = "json")]
    pub(super) fn oldest(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |copies| copies.bound())
    }

    pub(super) fn add_to(&self, status: StoreStatus, store: &RedisStore) -> StoreStatus {
        StoreStatus { near_cache: self.0.as_ref().map(|copies| copies.status(store)), ..status }
    }
}

#[cfg(not(feature = "memory"))]
impl Copied {
    pub(super) fn load<'f>(&'f self, store: &'f RedisStore, key: &'f SessionKey) -> Answer<'f, Loaded> {
        store.layout().load(key)
    }

    pub(super) fn load_fresh<'f>(&'f self, store: &'f RedisStore, key: &'f SessionKey) -> Answer<'f, Loaded> {
        store.layout().load(key)
    }

    pub(super) fn during<'f, A>(&'f self, _: &'f SessionKey, write: Answer<'f, A>) -> Answer<'f, A> {
        write
    }

    #[cfg(feature = "json")]
    pub(super) fn oldest(&self) -> Duration {
        Duration::ZERO
    }

    pub(super) fn add_to(&self, status: StoreStatus, _: &RedisStore) -> StoreStatus {
        status
    }
}

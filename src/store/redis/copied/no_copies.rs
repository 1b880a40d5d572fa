//! Without the feature `memory` there are no copies.

use std::future::Ready;
#[cfg(feature = "json")]
use std::time::Duration;

use crate::error::Error;
use crate::id::SessionKey;
use crate::store::Loaded;
use crate::store::redis::{Answer, RedisStore};
use crate::store::status::StoreStatus;

#[derive(Debug)]
pub(super) enum OwnCopies {}

impl OwnCopies {
    pub(super) fn beside(&self) -> Self {
        match *self {}
    }

    pub(super) fn of(&self, _: &RedisStore) -> &Self {
        self
    }

    pub(super) fn load(&self, _: &RedisStore, _: &SessionKey) -> Ready<Result<Loaded, Error>> {
        match *self {}
    }

    pub(super) fn load_fresh(&self, _: &RedisStore, _: &SessionKey) -> Ready<Result<Loaded, Error>> {
        match *self {}
    }

    pub(super) fn during<A>(&self, _: &SessionKey, _: Answer<'_, A>) -> Ready<Result<A, Error>> {
        match *self {}
    }

    #[cfg(feature = "json")]
    pub(super) fn bound(&self) -> Duration {
        match *self {}
    }

    pub(super) fn add_to(&self, _: StoreStatus, _: &RedisStore) -> StoreStatus {
        match *self {}
    }
}

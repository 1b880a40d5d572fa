//! Several stores on the same connections, each with keys of its own.

use std::sync::Arc;

use super::checkup::Entrance;
use super::connection::Connections;
use super::redis_feed::RedisFeed;
use super::redis_scan::Masters;
use super::{RecordLimit, RedisStore};
use crate::error::Error;

/// What stores on the same connections have in common.
pub(super) struct Common {
    pub(super) connections: Arc<Connections>,
    pub(super) masters: Arc<Masters>,
    pub(super) feed: Arc<RedisFeed>,
    pub(super) entrance: Entrance,
}

impl Common {
    pub(super) fn new(connections: &Arc<Connections>, entrance: Entrance) -> Self {
        Self {
            connections: Arc::clone(connections),
            masters: Arc::default(),
            feed: Arc::new(RedisFeed::new(connections)),
            entrance,
        }
    }
}

impl RedisStore {
    /// Makes a store whose keys have another [prefix](crate::RedisStoreBuilder::prefix), on the connections of this one:
    /// for each tenant of a service, as the page [`tenants`](crate::tenants) describes.
    ///
    /// The two share the connections, their supervision and so their [`status`](crate::SessionStore::status), the
    /// connections that tell of changes, and the bytes of a [near cache](crate::RedisStoreBuilder::near_cache). Nothing else: no
    /// session or owner of one is found, listed, counted, watched or ended by the other, even if one prefix begins like
    /// the other. This asks no server, and starts nothing; a store takes 340 bytes.
    ///
    /// Make one store for each prefix, and share it by an `Arc`: two of the same prefix have the same sessions, but each
    /// learns of the other's changes from Redis.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a prefix with braces, and in the layout of Express for one that does not end with a colon, where
    /// nobody could tell `shop` with an id like `2abc` from `shop2`. [`Error::Unsupported`] for a layout with two prefixes,
    /// as on the way from Express' to this crate's own.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let store = RedisStore::connect("redis://127.0.0.1").await?;
    /// let acme = store.with_prefix("tenant:acme:")?;
    /// let umbrella = store.with_prefix("tenant:umbrella:")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_prefix(&self, prefix: impl Into<String>) -> Result<Self, Error> {
        let limit = RecordLimit::default();
        let layout = self.layout().with_prefix(prefix.into(), limit.clone())?;
        let common = Common {
            connections: Arc::clone(&self.connections),
            masters: Arc::clone(&self.masters),
            feed: Arc::clone(self.feed.shared()),
            entrance: self.entrance.clone(),
        };
        Ok(Self { copied: self.copied.beside(), ..Self::new(layout, limit, common) })
    }
}

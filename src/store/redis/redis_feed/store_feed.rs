//! What one store hears, by the connections that it shares with others.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::listeners::Listener;
use super::{Keyspace, RedisFeed, RedisStore, prefixes};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::Loaded;
use crate::store::feed::{Copies, CopySource, Feed, Watch};

/// More renewals than fit into the life of a marker can only be a circle.
const MOST_RENEWALS: usize = 1000;

/// A store's part of the feed. Nothing is kept of a store of which nobody watches a session.
pub(in crate::store::redis) struct StoreFeed {
    feed: Arc<RedisFeed>,
    keyspaces: Arc<[Arc<dyn Keyspace>]>,
    listener: OnceLock<Arc<Listener>>,
}

impl StoreFeed {
    pub(in crate::store::redis) fn new(feed: &Arc<RedisFeed>, keyspaces: &Arc<[Arc<dyn Keyspace>]>) -> Self {
        Self { feed: Arc::clone(feed), keyspaces: Arc::clone(keyspaces), listener: OnceLock::new() }
    }

    /// That of another store on the same connections.
    pub(in crate::store::redis) fn shared(&self) -> &Arc<RedisFeed> {
        &self.feed
    }

    /// Tells `copies` of all changes.
    pub(in crate::store::redis) fn subscribe(&self, copies: Weak<dyn Copies>, bound: Duration) {
        let mut least = self.feed.bound.lock().unwrap_or_else(PoisonError::into_inner);
        *least = bound.min(*least);
        drop(least);
        self.listener().watches.subscribe(copies);
    }

    /// Whether the servers tell of changes, and are known to be masters; why not otherwise.
    pub(in crate::store::redis) async fn trial(&self) -> Result<(), String> {
        self.feed.trial(prefixes::covering(self.keyspaces.iter().map(|keys| &**keys))).await
    }

    fn listener(&self) -> &Arc<Listener> {
        self.listener.get_or_init(|| self.feed.listeners.add(&self.keyspaces))
    }

    fn watch(&self, key: &SessionKey) -> Watch {
        let watch = self.listener().watches.watch(key);
        self.go_on();
        watch
    }

    /// The task may have gone down with the runtime that it was on, or not know yet that this store is watched.
    fn go_on(&self) {
        let Some(listener) = self.listener.get().filter(|listener| !listener.watches.is_empty()) else {
            return;
        };
        let begins = self.feed.background.ask(&self.feed, Duration::ZERO);
        if listener.begins_to_wait() && !begins {
            self.feed.background.hurry();
        }
    }

    fn told_until(&self) -> Option<Instant> {
        self.listener.get().filter(|listener| listener.hears())?;
        self.feed.confirmed.until(self.feed.connections.generation())
    }
}

#[async_trait]
impl Feed for RedisStore {
    fn watch(&self, key: &SessionKey) -> Watch {
        self.feed.watch(key)
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        self.feed.go_on();
        let mut key = key.clone();
        for _ in 0..MOST_RENEWALS {
            match self.layout().load(&key).await? {
                Loaded::Found(record) => return Ok(Some((key, record))),
                Loaded::Absent => return Ok(None),
                Loaded::Moved => match self.layout().successor(&key).await? {
                    Some(successor) => key = successor,
                    // It ended between the two steps.
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    fn copies(&self) -> Option<&dyn CopySource> {
        Some(self)
    }
}

#[async_trait]
impl CopySource for RedisStore {
    fn subscribe(&self, copies: Weak<dyn Copies>, bound: Duration) {
        self.feed.subscribe(copies, bound);
    }

    fn told_until(&self) -> Option<Instant> {
        self.feed.told_until()
    }

    async fn load_to_copy(&self, key: &SessionKey) -> Result<(Loaded, Option<Duration>), Error> {
        self.feed.go_on();
        self.layout().load_to_copy(key).await
    }
}

impl fmt::Debug for StoreFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let watches = self.listener.get().map(|listener| &listener.watches);
        f.debug_struct("StoreFeed").field("watches", &watches).finish_non_exhaustive()
    }
}

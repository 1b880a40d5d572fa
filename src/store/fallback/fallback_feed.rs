//! What both places tell of changes.

use async_trait::async_trait;

use super::FallbackStore;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::feed::{Feed, Watch};

/// A session that moves from memory to the primary is told of by both.
#[async_trait]
impl Feed for FallbackStore {
    fn watch(&self, key: &SessionKey) -> Watch {
        let in_memory = self.0.memory.watch(key);
        match self.0.primary.feed() {
            Some(feed) => feed.watch(key).or(in_memory),
            None => in_memory,
        }
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        let shared = &self.0;
        // It has ended, though the primary does not know it yet.
        if shared.is_engaged() && shared.ledger().owes(key) {
            return Ok(None);
        }
        if shared.held(key)?.is_some()
            && let Some((key, record)) = shared.memory.find(key).await?
        {
            if record.owner.is_some() {
                shared.ask_whether_it_was_revoked(&key).await;
            }
            if shared.held(&key)?.is_some() {
                return Ok(Some((key, record)));
            }
        }
        let Some(feed) = shared.primary.feed() else {
            return Err(Error::Unsupported { what: "tell of changes" });
        };
        shared.observe(feed.find(key).await)
    }
}

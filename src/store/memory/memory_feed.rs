//! What a [`MemoryStore`] tells of changes.

use async_trait::async_trait;

use super::MemoryStore;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Envelope, Record};
use crate::store::feed::{Feed, Watch};

impl MemoryStore {
    /// Tells of a session that has ended elsewhere.
    pub(crate) fn tell(&self, key: &SessionKey) {
        self.watches.tell(key);
    }
}

#[async_trait]
impl Feed for MemoryStore {
    fn watch(&self, key: &SessionKey) -> Watch {
        self.watches.watch(key)
    }

    async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        let mut key = key.clone();
        loop {
            match self.held(&key) {
                Some(Envelope::Moved(marker)) => key = marker.successor,
                Some(Envelope::Record(record)) => return Ok(Some((key, record))),
                None => return Ok(None),
            }
        }
    }
}

//! What happened to an owner's sessions: the primary knows, and it alone. A memory of one instance would be no
//! history.

use async_trait::async_trait;

use super::{FallbackStore, Shared};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::history::{History, HistoryBounds, HistoryEntry, HistoryPage};
use crate::store::scan::Cursor;

#[async_trait]
impl History for FallbackStore {
    async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        bounds: HistoryBounds,
    ) -> Result<(), Error> {
        self.0.observe(self.0.histories()?.record(owner, entry, bounds).await)
    }

    async fn list(
        &self,
        owner: OwnerHash,
        bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error> {
        self.0.observe(self.0.histories()?.list(owner, bounds, now).await)
    }

    async fn forget(&self, owner: OwnerHash, now: Timestamp) -> Result<u64, Error> {
        self.0.observe(self.0.histories()?.forget(owner, now).await)
    }

    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error> {
        self.0.observe(self.0.histories()?.page(cursor, size).await)
    }
}

impl Shared {
    fn histories(&self) -> Result<&dyn History, Error> {
        self.primary.history().ok_or(Error::Unsupported { what: "keep a history" })
    }
}

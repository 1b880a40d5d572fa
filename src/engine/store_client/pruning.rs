//! Removes entries of the index of owners whose sessions ended without the index being told.

use futures_util::{StreamExt as _, stream};

use super::StoreClient;
use super::indexed_owner::Index;
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::Loaded;
use crate::store::owner_index::{Entry, Owned};
use crate::store::scan::Cursor;

/// So many sessions are looked up at once.
const AT_ONCE: usize = 16;

/// What came of a page of an owner's entries.
#[derive(Default)]
pub(in crate::engine) struct Pruned {
    /// So many entries were on it.
    pub(in crate::engine) entries: usize,
    /// So many were removed, or would be.
    pub(in crate::engine) removed: usize,
    /// Where the next page begins.
    pub(in crate::engine) next: Option<Cursor>,
}

/// What came of looking for the sessions of some entries.
pub(super) struct Ended {
    /// Those whose sessions are no more.
    pub(super) entries: Vec<Entry>,
    /// The first lookup that failed.
    pub(super) failure: Option<Error>,
}

impl StoreClient {
    /// Removes the entries of a page of an owner whose sessions are no more; in a dry run, only counts them.
    pub(in crate::engine) async fn prune(
        &self,
        owner: OwnerHash,
        after: Option<&Cursor>,
        dry_run: bool,
    ) -> Result<Pruned, Error> {
        let Some(index) = self.store().owners() else { return Ok(Pruned::default()) };
        let index = Index::new(self, index, owner);
        let mut page = index.list(after).await?;
        // The session that was spared may be in the memory of an instance that has lost the store, and its entry is
        // what lets it come back.
        if page.revoked_at.is_some() {
            return Ok(Pruned::default());
        }
        let (entries, next) = (page.entries.len(), page.next.take());
        let ended = self.ended(page).await;
        if !dry_run && !ended.entries.is_empty() {
            index.remove(&ended.entries, &[]).await?;
        }
        match ended.failure {
            None => Ok(Pruned { entries, removed: ended.entries.len(), next }),
            Some(failure) => Err(failure),
        }
    }

    /// The entries of a page whose sessions are no more: they were written, and are not found.
    pub(super) async fn ended(&self, page: Owned) -> Ended {
        let Owned { mut entries, pending, .. } = page;
        entries.retain(|entry| !pending.contains(entry));
        let lookups = entries.into_iter().map(|entry| async move {
            let found = self.look_up(&entry.key).await;
            (entry, found)
        });
        let mut lookups = stream::iter(lookups).buffer_unordered(AT_ONCE);
        let mut ended = Ended { entries: Vec::new(), failure: None };
        while let Some((entry, found)) = lookups.next().await {
            match found {
                Ok(Loaded::Absent | Loaded::Moved) => ended.entries.push(entry),
                Ok(Loaded::Found(_)) => {}
                Err(error) if error.is_about_the_record() => {}
                Err(error) => ended.failure = ended.failure.or(Some(error)),
            }
        }
        ended
    }
}

//! Removes entries of the index of owners whose sessions ended without the index being told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, stream};

use super::StoreClient;
use super::indexed_owner::Index;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::Loaded;
use crate::store::owner_index::{Entry, IndexInsert, Owned, Stage};
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
    /// Those whose sessions are no more, as far as they were looked up.
    pub(super) entries: Vec<Entry>,
    /// Why the others were not.
    pub(super) failure: Option<Error>,
}

impl StoreClient {
    /// Removes the entries of a page of an owner whose sessions are no more; in a dry run, only counts them.
    pub(in crate::engine) async fn prune(
        self: &Arc<Self>,
        owner: OwnerHash,
        after: Option<&Cursor>,
        now: Timestamp,
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
            self.enter_what_came(&ended.entries, now).await?;
        }
        match ended.failure {
            None => Ok(Pruned { entries, removed: ended.entries.len(), next }),
            Some(failure) => Err(failure),
        }
    }

    /// The entries of a page whose sessions are no more: they were written, and are not found.
    pub(super) async fn ended(&self, page: Owned) -> Ended {
        let mut lookups = self.look_up_all(written(page));
        let mut ended = Ended { entries: Vec::new(), failure: None };
        while let Some((entry, found)) = lookups.next().await {
            match found {
                Ok(Loaded::Absent | Loaded::Moved) => ended.entries.push(entry),
                Ok(Loaded::Found(_)) => {}
                Err(error) if error.is_about_the_record() => {}
                Err(error) => {
                    ended.failure = Some(error);
                    break;
                }
            }
        }
        ended
    }

    /// Enters sessions again that came to their keys between the lookup and the removal: from a key whose entry is on
    /// another page, or from the memory of an instance that had lost the store. One that can't be looked up is entered
    /// when it is extended.
    async fn enter_what_came(self: &Arc<Self>, removed: &[Entry], now: Timestamp) -> Result<(), Error> {
        let mut lookups = self.look_up_all(removed.to_vec());
        while let Some((entry, found)) = lookups.next().await {
            if let Ok(Loaded::Found(record)) = found
                && let Some(owner) = record.entered_owner()
                && let Some(sessions) = self.sessions_of(owner, now)
            {
                let life = Entry::life(&record, record.expires_at.saturating_since(now));
                sessions.insert(IndexInsert::new(&entry, life, Stage::Moving)).await?;
            }
        }
        Ok(())
    }

    fn look_up_all(&self, entries: Vec<Entry>) -> impl Stream<Item = (Entry, Result<Loaded, Error>)> + Unpin {
        let lookups = entries.into_iter().map(move |entry| {
            Box::pin(async move {
                let found = self.look_up(&entry.key).await;
                (entry, found)
            })
        });
        stream::iter(lookups).buffer_unordered(AT_ONCE)
    }
}

/// The entries whose sessions were certainly written under their keys. One that is given a new id has two entries until
/// it is moved, and may be found under neither if they are looked up one after the other.
fn written(page: Owned) -> Vec<Entry> {
    let Owned { mut entries, pending, .. } = page;
    let pending: HashSet<_> = pending.into_iter().collect();
    let mut of_lineage = HashMap::new();
    for entry in &entries {
        *of_lineage.entry(entry.key.lineage().to_owned()).or_insert(0) += 1;
    }
    entries.retain(|entry| !pending.contains(entry) && of_lineage[entry.key.lineage()] == 1);
    entries
}

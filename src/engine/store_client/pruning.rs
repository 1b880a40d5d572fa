//! Removes entries of the index of owners whose sessions ended without the index being told.

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};

use super::StoreClient;
use super::indexed_owner::Index;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::Loaded;
use crate::store::owner_index::{Entry, MARGIN, Owned};
use crate::store::scan::Cursor;

/// So many sessions are looked up at once.
const AT_ONCE: usize = 16;

/// What came of a page of an owner's entries.
pub(in crate::engine) struct Pruned {
    /// So many entries were removed, or would be.
    pub(in crate::engine) entries: u64,
    /// Where the next page begins.
    pub(in crate::engine) next: Option<Cursor>,
}

impl StoreClient {
    /// Removes the entries of a page of an owner whose sessions are no more, unless that is only to be `tried`.
    pub(in crate::engine) async fn prune(
        &self,
        owner: OwnerHash,
        after: Option<&Cursor>,
        now: Timestamp,
        tried: bool,
    ) -> Result<Pruned, Error> {
        let Some(index) = self.store().owners() else { return Ok(Pruned { entries: 0, next: None }) };
        let index = Index::new(self, index, owner);
        let Owned { entries, next, revoked_at, .. } = index.list(after).await?;
        // The session that was spared may be in the memory of an instance that has lost the store, and its entry is
        // what lets it come back.
        if revoked_at.is_some() {
            return Ok(Pruned { entries: 0, next: None });
        }
        let ended = self.ended(lone(entries), now).await?;
        if !tried && !ended.is_empty() {
            index.remove(&ended, &[]).await?;
        }
        Ok(Pruned { entries: ended.len() as u64, next })
    }

    /// The entries among these whose sessions are no more.
    pub(super) async fn ended(&self, mut entries: Vec<Entry>, now: Timestamp) -> Result<Vec<Entry>, Error> {
        entries.retain(|entry| is_settled(entry, now));
        let lookups = entries.into_iter().map(|entry| async move {
            let found = self.look_up(&entry.key).await;
            (entry, found)
        });
        let mut lookups = stream::iter(lookups).buffer_unordered(AT_ONCE);
        let mut ended = Vec::new();
        while let Some((entry, found)) = lookups.next().await {
            match found {
                Ok(Loaded::Absent | Loaded::Moved) => ended.push(entry),
                Ok(Loaded::Found(_)) => {}
                Err(error) if error.is_about_the_record() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ended)
    }
}

/// Whether a session whose entry is there was certainly written, so that it is no more if it is not found: what is not
/// written leaves sooner. It may be on its way to this key from another one, though.
fn is_settled(entry: &Entry, now: Timestamp) -> bool {
    entry.created_at.saturating_add(Entry::ON_ITS_WAY + MARGIN) < now
}

/// The entries that are the only one of their lineage. A session that is given a new id has two until it is moved, and may
/// be found under neither of them if they are looked up one after the other.
fn lone(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut of_lineage = HashMap::new();
    for entry in &entries {
        *of_lineage.entry(entry.key.lineage().to_owned()).or_insert(0) += 1;
    }
    entries.retain(|entry| of_lineage[entry.key.lineage()] == 1);
    entries
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use super::*;
    use crate::id::SessionId;

    #[test]
    fn two_entries_of_one_lineage_may_be_one_session_on_its_way() {
        let entry = |id: &SessionId| Entry { key: id.key(), created_at: Timestamp::from_millis(1) };
        let (alone, old) = (SessionId::generate(), SessionId::generate());
        let all = vec![entry(&old), entry(&alone), entry(&old.rotated())];
        assert_eq!(lone(all), [entry(&alone)]);
    }
}

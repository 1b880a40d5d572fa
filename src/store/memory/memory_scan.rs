//! Going through the sessions in memory, in the order of their keys.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

use async_trait::async_trait;

use super::{Entry, MemoryStore};
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Envelope;
use crate::store::scan::{Cursor, OwnersPage, Page, Scan, SessionSummary, Usage};

/// Each page looks at every session: the hash table has no order to go on from. So there are at most so
/// many, however small they were asked for.
const MOST_PAGES: usize = 64;
/// What cursors begin with: kind and version.
const MARK: &str = "m1:";
/// The same of a page of owners.
pub(super) const OWNERS: &str = "o:";

#[async_trait]
impl Scan for MemoryStore {
    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error> {
        let after = cursor.map(position).transpose()?;
        let all = usize::try_from(self.sessions.count()).unwrap_or(usize::MAX);
        let size = size.clamp(1, Page::MAX_SIZE).max(all / MOST_PAGES);

        // The `size` first of those that follow: the last one of these is on top of the heap.
        let mut first = BinaryHeap::with_capacity(size.min(all) + 1);
        let (mut looked_at, mut passed, mut following) = (0_usize, 0, 0);
        for (key, summary) in self.summaries() {
            looked_at += 1;
            if after.as_ref().is_some_and(|after| key.storage_name() <= after.storage_name()) {
                passed += 1;
                continue;
            }
            following += 1;
            first.push(InOrder(summary));
            if first.len() > size {
                first.pop();
            }
        }
        let sessions: Vec<_> = first.into_sorted_vec().into_iter().map(|InOrder(summary)| summary).collect();
        let next = (following > sessions.len()).then(|| sessions.last()).flatten();
        #[expect(clippy::cast_precision_loss, reason = "it is about so much")]
        let progress = if looked_at == 0 { 1.0 } else { (passed + sessions.len()) as f64 / looked_at as f64 };
        Ok(Page {
            next: next.map(|last| Cursor::new(format!("{MARK}{}", last.key.storage_name()))),
            progress,
            sessions,
            ..Page::default()
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 sessions in memory")]
    async fn usage(&self) -> Result<Usage, Error> {
        let (mut sessions, mut weight) = (0_u32, 0_usize);
        let mut used = 0_usize;
        let now = Instant::now();
        for (_, entry) in self.sessions.iter().filter(|(_, entry)| entry.ends > now) {
            used += entry.weight;
            if let Envelope::Record(_) = &entry.held {
                sessions += 1;
                weight += entry.weight;
            }
        }
        Ok(Usage {
            sessions: f64::from(sessions),
            error: 0.0,
            used_bytes: Some(used as u64),
            limit_bytes: Some(self.capacity as u64),
            bytes_per_session: (sessions > 0).then(|| weight as f64 / f64::from(sessions)),
        })
    }

    async fn owners_page(&self, cursor: Option<&Cursor>, size: usize) -> Result<OwnersPage, Error> {
        let after = cursor.map(|cursor| super::owner_after(cursor, OWNERS)).transpose()?;
        Ok(self.owners.page(after, size.clamp(1, Page::MAX_SIZE)))
    }
}

impl MemoryStore {
    fn summaries(&self) -> impl Iterator<Item = (SessionKey, SessionSummary)> {
        let now = Instant::now();
        let summary = move |key: &SessionKey, entry: &Entry| match &entry.held {
            Envelope::Record(record) if entry.ends > now => Some(SessionSummary::new(key.clone(), record)),
            _ => None,
        };
        self.sessions
            .iter()
            .filter_map(move |(key, entry)| Some((SessionKey::clone(&key), summary(&key, &entry)?)))
    }
}

fn position(cursor: &Cursor) -> Result<SessionKey, Error> {
    SessionKey::from_storage_name(cursor.after(MARK)?).ok_or_else(Cursor::is_strange)
}

/// A summary by the order of its key.
struct InOrder(SessionSummary);

impl Ord for InOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key.storage_name().cmp(other.0.key.storage_name())
    }
}

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for InOrder {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for InOrder {}

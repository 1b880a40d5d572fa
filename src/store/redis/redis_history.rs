//! What happened to the sessions of each owner: a list, the latest entry first, in the slot of the owner's index.
//!
//! A list, and no stream: a stream takes 4.4 kB for an owner's first entry, a list 0.4 (Redis 7.0).

mod scripts;

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;

use super::connection::{Connection, Durability, Repeat};
use super::failure::{Effect, Failure};
use super::layout::Keyspace;
use super::name::{self, Slot};
use super::redis_scan::Sought;
use super::{RedisStore, unexpected};
use crate::clock::{Timestamp, millis_rounded_up};
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::history::{History, HistoryBounds, HistoryEntry, HistoryPage, OwnerHistory};
use crate::store::owner_index::Entry;
use crate::store::scan::Cursor;

/// So many histories are read at once, and of each so many entries.
const HISTORIES_AT_ONCE: usize = 20;
const ENTRIES_AT_ONCE: usize = 100;
/// So many entries are read at once of a history that has more.
const REST_AT_ONCE: usize = 1000;
/// What cursors begin with: that of a scan is the rest.
const MARK: &str = "h:";
/// What the keys of histories are called.
const KEYS: &str = "history";

/// The keys of one owner's history.
struct Place {
    history: String,
    /// When it was forgotten, for a while.
    forgotten: String,
    slot: Slot,
}

impl Place {
    fn of(keyspace: &dyn Keyspace, owner: OwnerHash) -> Self {
        let (history, slot) = keyspace.owner_key(KEYS, owner);
        let (forgotten, _) = keyspace.owner_key("forgotten", owner);
        Self { history, forgotten, slot }
    }
}

/// While sessions go from one layout to the other, each has the histories, as it has the index of owners.
#[async_trait]
impl History for RedisStore {
    async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        bounds: HistoryBounds,
    ) -> Result<(), Error> {
        let (bytes, oldest) = (entry.to_bytes(), bounds.oldest(entry.at).as_millis());
        let arguments = (bytes, bounds.entries, millis_rounded_up(bounds.age), oldest);
        for place in self.places(owner) {
            let keys = (&place.history, &place.forgotten);
            let (durability, repeat) = (Durability::Ordinary, Repeat::Write);
            let reply = scripts::RECORD
                .run(&self.connections, place.slot, durability, repeat, keys, &arguments)
                .await;
            reply.map_err(|failure| failure.into_error(Effect::Write))?;
        }
        Ok(())
    }

    async fn list(
        &self,
        owner: OwnerHash,
        bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error> {
        // Entries of several instances come in about the order of their times.
        let most = usize::try_from(bounds.entries).unwrap_or(usize::MAX).saturating_add(scripts::RECENT);
        let (mut stored, mut known) = (Vec::new(), HashSet::new());
        for place in self.places(owner) {
            let entries = self.stored(place.history.as_bytes(), place.slot, 0..most).await;
            let entries = entries.map_err(|failure| failure.into_error(Effect::Read))?;
            // Both layouts have what was recorded while there were two.
            if self.keyspaces.len() > 1 {
                stored.extend(entries.into_iter().filter(|bytes| known.insert(bytes.clone())));
            } else {
                stored = entries;
            }
        }
        Ok(bounds.newest(readable(&stored), now))
    }

    async fn forget(&self, owner: OwnerHash, now: Timestamp) -> Result<u64, Error> {
        self.erase(owner, now, Entry::ON_ITS_WAY).await
    }

    async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error> {
        let at = cursor.map(|cursor| cursor.after(MARK)).transpose()?;
        let sought = |keyspace: &dyn Keyspace| Sought { names: keyspace.owners_glob(KEYS), kind: "list" };
        let (keyspace, found) = self.look_through(at, size, sought).await?;
        let owners =
            found.names.into_iter().filter_map(|name| Some((keyspace.owner_named(KEYS, &name)?, name)));
        let (owners, names): (Vec<_>, Vec<_>) = owners.unzip();
        let mut histories = Vec::new();
        for (owners, names) in owners.chunks(HISTORIES_AT_ONCE).zip(names.chunks(HISTORIES_AT_ONCE)) {
            let beginning = |name: &[u8]| {
                let mut range = redis::cmd("LRANGE");
                range.arg(name).arg(0).arg(ENTRIES_AT_ONCE - 1);
                [range]
            };
            let read = self.reader(found.host.as_ref()).ask(names, beginning).await;
            let read = read.map_err(|failure| failure.into_error(Effect::Read))?;
            for ((owner, name), answer) in owners.iter().zip(names).zip(read) {
                // It is gone by now, or is no list.
                let Some([answer]) = answer else { continue };
                let whole =
                    self.whole(name, answer).await.map_err(|failure| failure.into_error(Effect::Read))?;
                if !whole.is_empty() {
                    histories.push(OwnerHistory::new(*owner, readable(&whole)));
                }
            }
        }
        let next = found.next.map(|next| Cursor::new(format!("{MARK}{next}")));
        Ok(HistoryPage { histories, next, progress: found.progress })
    }
}

impl RedisStore {
    fn places(&self, owner: OwnerHash) -> impl Iterator<Item = Place> {
        self.keyspaces.iter().map(move |keyspace| Place::of(&**keyspace, owner))
    }

    /// Erases a history. For so long what was on its way is kept out.
    pub(super) async fn erase(
        &self,
        owner: OwnerHash,
        now: Timestamp,
        kept_out: Duration,
    ) -> Result<u64, Error> {
        let mut erased = 0;
        for place in self.places(owner) {
            let keys = (&place.history, &place.forgotten);
            let arguments = (now.as_millis(), millis_rounded_up(kept_out));
            let (durability, repeat) = (Durability::Replicated, Repeat::Write);
            let reply =
                scripts::FORGET.run(&self.connections, place.slot, durability, repeat, keys, arguments).await;
            match reply.map_err(|failure| failure.into_error(Effect::Write))? {
                Value::Int(count) => erased = erased.max(u64::try_from(count).unwrap_or_default()),
                _ => return Err(unexpected(Effect::Write)),
            }
        }
        Ok(erased)
    }

    /// These of the entries of a history, as they are stored.
    async fn stored(
        &self,
        name: &[u8],
        slot: Slot,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut command = redis::cmd("LRANGE");
        command.arg(name).arg(range.start).arg(range.end - 1);
        let operation = async |mut connection: Connection| connection.send(&command).await;
        let reply = self.connections.run(slot, Durability::Ordinary, Repeat::Read, operation).await?;
        Ok(redis::from_redis_value(reply)?)
    }

    /// A history of which this is the beginning.
    async fn whole(&self, name: &[u8], beginning: Value) -> Result<Vec<Vec<u8>>, Failure> {
        let mut whole: Vec<Vec<u8>> = redis::from_redis_value(beginning)?;
        let mut may_have_more = whole.len() == ENTRIES_AT_ONCE;
        while may_have_more {
            let range = whole.len()..whole.len() + REST_AT_ONCE;
            let rest = self.stored(name, name::slot_of_key(name), range).await?;
            may_have_more = rest.len() == REST_AT_ONCE;
            whole.extend(rest);
        }
        Ok(whole)
    }
}

fn readable(stored: &[Vec<u8>]) -> Vec<HistoryEntry> {
    stored.iter().filter_map(|bytes| HistoryEntry::from_bytes(bytes)).collect()
}

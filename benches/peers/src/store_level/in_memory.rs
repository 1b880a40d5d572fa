//! Who is measured in this process' memory.

use std::sync::Arc;

use session_store::{Codec, MemoryStore, NearCache, RedisStore};
use tower_sessions::MemoryStore as TowerMemoryStore;
use tower_sessions_moka_store::MokaStore;

use super::ours::{Managed, Ours};
use super::tower_sessions::TowerSessions;
use super::{Cell, Operation};
use crate::results::contender::{
    MANAGED, OURS, OURS_COMPACT, OURS_COPIES, RAW_MOKA, TOWER_MEMORY, TOWER_MOKA,
};
use crate::support::floor::MokaReader;

/// A read takes not much longer than reading the clock does: so many are timed at once.
const TOGETHER: u64 = 32;

/// More than there are sessions.
const CAPACITY: u64 = 1_000_000;

pub async fn cells(redis: &str) -> Vec<Cell> {
    let near = RedisStore::builder(redis).near_cache(NearCache::new(64 << 20)).connect().await;
    let near = Ours::new(&Arc::new(near.expect("the server answers")), Codec::Json);
    let store = Arc::new(MemoryStore::new());
    let json = Ours::new(&store, Codec::Json);
    let compact = Ours::new(&store, Codec::MessagePack);
    let managed = Managed::new(Arc::clone(&store), Codec::Json);
    let moka = TowerSessions::new(MokaStore::new(Some(CAPACITY)));
    let map = TowerSessions::new(TowerMemoryStore::default());
    let read = "the struct, made by the first who reads it and shared by all until a write";
    let copy = "a copy of the record and its map, a copy of one value, then the struct from it";
    vec![
        Cell::of_workers(
            Operation::LoadBytes,
            (RAW_MOKA, RAW_MOKA),
            "get of bytes that are counted, not copied",
            |tasks, _| async move { MokaReader::all(tasks) },
            TOGETHER,
        ),
        Cell::of(Operation::LoadBytes, (OURS, RAW_MOKA), "the record, its bytes shared", &json, TOGETHER),
        Cell::of(Operation::Load, (OURS, RAW_MOKA), read, &json, TOGETHER),
        Cell::of(
            Operation::Load,
            (OURS_COPIES, RAW_MOKA),
            "the same, of a session that is in Redis",
            &near,
            TOGETHER,
        ),
        Cell::of(Operation::Load, (OURS_COMPACT, RAW_MOKA), read, &compact, TOGETHER),
        Cell::of(
            Operation::Load,
            (MANAGED, RAW_MOKA),
            "the same within begin, read, finish: the cookie is verified",
            &managed,
            TOGETHER,
        ),
        Cell::of(Operation::Load, (TOWER_MOKA, RAW_MOKA), copy, &moka, TOGETHER),
        Cell::of(Operation::Load, (TOWER_MEMORY, RAW_MOKA), copy, &map, TOGETHER),
        Cell::of(Operation::Save, (OURS, RAW_MOKA), "compare-and-swap", &json, TOGETHER),
        Cell::of(Operation::Save, (TOWER_MOKA, RAW_MOKA), "blind", &moka, TOGETHER),
        Cell::of(Operation::Save, (TOWER_MEMORY, RAW_MOKA), "blind, under one lock for all", &map, TOGETHER),
    ]
}

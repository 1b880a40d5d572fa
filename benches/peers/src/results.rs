//! What was measured, as it is written to `results.json`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    pub when: String,
    pub machine: String,
    pub quick: bool,
    pub versions: Vec<Version>,
    pub store: Vec<StoreRow>,
    /// Empty if there was no second server.
    #[serde(default)]
    pub valkey: Vec<StoreRow>,
    pub memory: Vec<StoreRow>,
    pub http: Vec<HttpRow>,
    pub bytes: Vec<BytesRow>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Version {
    pub what: String,
    pub version: String,
}

/// One operation of one contender, with so many tasks.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoreRow {
    pub tasks: u64,
    pub operation: String,
    pub contender: String,
    /// What it does then.
    pub does: String,
    /// The contender that its ratios are to.
    pub floor: String,
    pub rounds: Vec<StoreSlice>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct StoreSlice {
    pub per_second: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
}

/// One kind of request to one server.
#[derive(Debug, Serialize, Deserialize)]
pub struct HttpRow {
    pub scene: String,
    pub framework: String,
    pub contender: String,
    pub does: String,
    pub rounds: Vec<HttpSlice>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct HttpSlice {
    pub per_second: f64,
    pub p50_micros: f64,
    pub p99_micros: f64,
    /// Of the server's processes, for each request.
    pub cpu_micros: f64,
    /// Of the process of Redis or Valkey, for each request.
    pub redis_cpu_micros: f64,
    /// That it ran for each request, those inside a script included.
    pub commands: f64,
}

/// `MEMORY USAGE` of one session, by contender in the order of `contenders`.
#[derive(Debug, Serialize, Deserialize)]
pub struct BytesRow {
    pub contender: String,
    pub payload: String,
    pub memory: u64,
    pub value: u64,
    pub key: u64,
}

/// What the contenders are called in the results.
pub mod contender {
    pub const RAW_GET: &str = "redis-rs, raw GET";
    pub const RAW_SET: &str = "redis-rs, raw SET";
    pub const RAW_SET_NEW: &str = "redis-rs, raw SET (new)";
    pub const RAW_MOKA: &str = "moka, raw get";
    pub const OURS: &str = "session-store";
    pub const OURS_COMPACT: &str = "session-store, MessagePack";
    pub const OURS_EXPRESS: &str = "session-store, Express' layout";
    pub const OURS_COPIES: &str = "session-store, a near cache's copy";
    pub const MANAGED: &str = "session-store, a whole request";
    pub const TOWER_SESSIONS: &str = "tower-sessions";
    pub const TOWER_CACHED: &str = "tower-sessions, CachingSessionStore";
    pub const TOWER_MOKA: &str = "tower-sessions, moka";
    pub const TOWER_MEMORY: &str = "tower-sessions, MemoryStore";
    pub const ACTIX_SESSION: &str = "actix-session";
    pub const AXUM_SESSION: &str = "axum_session";
    pub const AXUM_SESSION_CACHED: &str = "axum_session, cached in the process";
    pub const EXPRESS: &str = "express-session";
    pub const EXPRESS_CLUSTER: &str = "express-session, cluster of 2";
    pub const BARE: &str = "no sessions";
    pub const BARE_CLUSTER: &str = "no sessions, cluster of 2";
}

//! Who is asked for what.

use super::process::ServerProcess;
use crate::results::contender::{
    ACTIX_SESSION, AXUM_SESSION, AXUM_SESSION_CACHED, BARE, BARE_CLUSTER, EXPRESS, EXPRESS_CLUSTER, OURS,
    OURS_EXPRESS, TOWER_CACHED, TOWER_MEMORY, TOWER_MOKA, TOWER_SESSIONS,
};

/// Kinds of requests; the names that they have in the results.
pub mod scene {
    pub const BARE: &str = "bare route";
    pub const READ: &str = "read-only, Redis";
    pub const ROLLING: &str = "rolling, Redis";
    pub const COUNTER: &str = "counter, Redis";
    pub const COPIES: &str = "read-only, copies of what is in Redis";
    pub const COPIES_ROLLING: &str = "rolling, copies of what is in Redis";
    pub const SEALED: &str = "read-only, encrypted in Redis";
    pub const SEALED_COUNTER: &str = "counter, encrypted in Redis";
    pub const MEMORY: &str = "read-only, memory";
    pub const READ_VALKEY: &str = "read-only, Valkey";
    pub const COUNTER_VALKEY: &str = "counter, Valkey";
}

/// The frameworks' names in the results.
pub mod framework {
    pub const AXUM: &str = "axum";
    pub const ACTIX: &str = "actix-web";
    pub const WARP: &str = "warp";
    pub const EXPRESS: &str = "Express";
}

/// A server: which program, and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    Rust { name: &'static str, mode: &'static str },
    Node { mode: &'static str, workers: u32 },
}

impl Setup {
    pub fn start(self, redis: &str) -> ServerProcess {
        match self {
            Self::Rust { name, mode } => ServerProcess::rust(name, mode, redis),
            Self::Node { mode, workers } => ServerProcess::node(mode, workers, redis),
        }
    }
}

/// One kind of request to one server.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub scene: &'static str,
    pub framework: &'static str,
    pub contender: &'static str,
    pub path: &'static str,
    pub setup: Setup,
    /// What the answer takes, as far as the figures do not say it themselves.
    pub does: &'static str,
}

const READ: &str = "/read";
const COUNT: &str = "/count";

const fn rust(name: &'static str, mode: &'static str) -> Setup {
    Setup::Rust { name, mode }
}

const fn node(mode: &'static str, workers: u32) -> Setup {
    Setup::Node { mode, workers }
}

const fn entry(
    scene: &'static str,
    framework: &'static str,
    contender: &'static str,
    path: &'static str,
    setup: Setup,
    does: &'static str,
) -> Entry {
    Entry { scene, framework, contender, path, setup, does }
}

/// All of them.
#[rustfmt::skip] // A table.
pub fn on_redis() -> Vec<Entry> {
    use framework::{ACTIX, AXUM, EXPRESS as NODE, WARP};
    vec![
        entry(scene::BARE, AXUM, BARE, READ, rust("axum", "bare"), ""),
        entry(scene::BARE, ACTIX, BARE, READ, rust("actix", "bare"), ""),
        entry(scene::BARE, WARP, BARE, READ, rust("warp", "bare"), ""),
        entry(scene::BARE, NODE, BARE, READ, node("bare", 0), ""),
        entry(scene::BARE, NODE, BARE_CLUSTER, READ, node("bare", 2), ""),

        entry(scene::READ, AXUM, OURS, READ, rust("axum-ours", "redis"), "signed cookie; rolling by default: the same server as below"),
        entry(scene::READ, AXUM, OURS_EXPRESS, READ, rust("axum-ours", "express"), "the sessions of express-session below"),
        entry(scene::READ, AXUM, TOWER_SESSIONS, READ, rust("axum-tower-sessions", "read"), "unsigned cookie; the session would end a day after the last change"),
        entry(scene::READ, AXUM, AXUM_SESSION, READ, rust("axum-session", "read"), "unsigned cookie, sent again each time; writes each time"),
        entry(scene::READ, AXUM, AXUM_SESSION_CACHED, READ, rust("axum-session", "cached"), "its default: answers from a copy in the process, does not see other instances' changes"),
        entry(scene::READ, ACTIX, OURS, READ, rust("actix-ours", "redis"), "signed cookie; rolling by default: the same server as below"),
        entry(scene::READ, ACTIX, ACTIX_SESSION, READ, rust("actix-session", "read"), "encrypted cookie; the session would end a day after the last change"),
        entry(scene::READ, WARP, OURS, READ, rust("warp-ours", "redis"), "signed cookie; rolling by default: the same server as below"),
        entry(scene::READ, NODE, EXPRESS, READ, node("read", 0), "signed cookie; disableTouch, so the session would end a day after the last change"),
        entry(scene::READ, NODE, EXPRESS_CLUSTER, READ, node("read", 2), "the same, in two processes"),

        entry(scene::ROLLING, AXUM, OURS, READ, rust("axum-ours", "redis"), "the default: a touch once in a tenth of the idle time"),
        entry(scene::ROLLING, AXUM, TOWER_SESSIONS, READ, rust("axum-tower-sessions", "rolling"), "always_save: the whole session is written back, blind; cookie sent again each time"),
        entry(scene::ROLLING, AXUM, AXUM_SESSION, READ, rust("axum-session", "read"), "the same as above: it always writes back, blind"),
        entry(scene::ROLLING, ACTIX, OURS, READ, rust("actix-ours", "redis"), "the default: a touch once in a tenth of the idle time"),
        entry(scene::ROLLING, ACTIX, ACTIX_SESSION, READ, rust("actix-session", "rolling"), "OnEveryRequest: an EXPIRE each time"),
        entry(scene::ROLLING, WARP, OURS, READ, rust("warp-ours", "redis"), "the default: a touch once in a tenth of the idle time"),
        entry(scene::ROLLING, NODE, EXPRESS, READ, node("rolling", 0), "the default touch: an EXPIRE each time"),
        entry(scene::ROLLING, NODE, EXPRESS_CLUSTER, READ, node("rolling", 2), "the same, in two processes"),

        entry(scene::COUNTER, AXUM, OURS, COUNT, rust("axum-ours", "redis"), "compare-and-swap in a script, stale writes are merged"),
        entry(scene::COUNTER, AXUM, OURS_EXPRESS, COUNT, rust("axum-ours", "express"), "compare-and-swap in a script, which reads JSON and SHA-1"),
        entry(scene::COUNTER, AXUM, TOWER_SESSIONS, COUNT, rust("axum-tower-sessions", "read"), "blind SET XX; cookie sent again each time"),
        entry(scene::COUNTER, AXUM, AXUM_SESSION, COUNT, rust("axum-session", "read"), "blind MULTI, SET, EXPIREAT, EXEC; cookie sent again each time"),
        entry(scene::COUNTER, ACTIX, OURS, COUNT, rust("actix-ours", "redis"), "compare-and-swap in a script, stale writes are merged"),
        entry(scene::COUNTER, ACTIX, ACTIX_SESSION, COUNT, rust("actix-session", "read"), "blind SET XX; cookie encrypted and sent again each time"),
        entry(scene::COUNTER, WARP, OURS, COUNT, rust("warp-ours", "redis"), "compare-and-swap in a script, stale writes are merged"),
        entry(scene::COUNTER, NODE, EXPRESS, COUNT, node("rolling", 0), "blind SET"),
        entry(scene::COUNTER, NODE, EXPRESS_CLUSTER, COUNT, node("rolling", 2), "the same, in two processes"),

        entry(scene::COPIES, AXUM, OURS, READ, rust("axum-ours", "near"), "near cache of 64 MiB: what other instances change is seen within milliseconds"),
        entry(scene::COPIES, AXUM, TOWER_CACHED, READ, rust("axum-tower-sessions", "cached"), "CachingSessionStore before its Redis store: does not see other instances' changes"),
        entry(scene::COPIES, AXUM, AXUM_SESSION_CACHED, READ, rust("axum-session", "cached"), "its default: does not see other instances' changes"),
        entry(scene::COPIES, ACTIX, OURS, READ, rust("actix-ours", "near"), "near cache of 64 MiB"),

        entry(scene::COPIES_ROLLING, AXUM, OURS, READ, rust("axum-ours", "near"), "the same server: a touch once in a tenth of the idle time"),
        entry(scene::COPIES_ROLLING, AXUM, TOWER_CACHED, READ, rust("axum-tower-sessions", "cached-rolling"), "always_save: the whole session is written back, blind"),
        entry(scene::COPIES_ROLLING, AXUM, AXUM_SESSION_CACHED, READ, rust("axum-session", "cached"), "the same as above: writes back every ten seconds, blind"),
        entry(scene::COPIES_ROLLING, ACTIX, OURS, READ, rust("actix-ours", "near"), "the same server: a touch once in a tenth of the idle time"),

        entry(scene::SEALED, AXUM, OURS, READ, rust("axum-ours", "sealed"), "XChaCha20-Poly1305, with the visitor's id; signed cookie"),
        entry(scene::SEALED, AXUM, AXUM_SESSION, READ, rust("axum-session", "sealed"), "AES-256-GCM, in Base64; unsigned cookie, sent again each time; writes each time"),
        entry(scene::SEALED_COUNTER, AXUM, OURS, COUNT, rust("axum-ours", "sealed"), "compare-and-swap in a script, stale writes are merged"),
        entry(scene::SEALED_COUNTER, AXUM, AXUM_SESSION, COUNT, rust("axum-session", "sealed"), "blind MULTI, SET, EXPIREAT, EXEC; cookie sent again each time"),

        entry(scene::MEMORY, AXUM, OURS, READ, rust("axum-ours", "memory"), "signed cookie; bounded in bytes"),
        entry(scene::MEMORY, AXUM, TOWER_MOKA, READ, rust("axum-tower-sessions", "moka"), "unsigned cookie; bounded in entries"),
        entry(scene::MEMORY, AXUM, TOWER_MEMORY, READ, rust("axum-tower-sessions", "memory"), "unsigned cookie; unbounded, and expired sessions stay"),
        entry(scene::MEMORY, AXUM, AXUM_SESSION, READ, rust("axum-session", "memory"), "unsigned cookie, sent again each time; unbounded"),
        entry(scene::MEMORY, ACTIX, OURS, READ, rust("actix-ours", "memory"), "signed cookie; bounded in bytes"),
        entry(scene::MEMORY, WARP, OURS, READ, rust("warp-ours", "memory"), "signed cookie; bounded in bytes"),
        entry(scene::MEMORY, NODE, EXPRESS, READ, node("memory", 0), "signed cookie; unbounded, for development only"),
    ]
}

/// Those for which it makes a difference that the server compares by itself, and the same without a write.
#[rustfmt::skip] // A table.
pub fn on_valkey() -> Vec<Entry> {
    use framework::{ACTIX, AXUM};
    const SWAP: &str = "compare-and-swap by the server itself, stale writes are merged";
    vec![
        entry(scene::READ_VALKEY, AXUM, OURS, READ, rust("axum-ours", "redis"), "signed cookie; rolling by default"),
        entry(scene::READ_VALKEY, AXUM, TOWER_SESSIONS, READ, rust("axum-tower-sessions", "read"), "unsigned cookie; the session would end a day after the last change"),
        entry(scene::READ_VALKEY, ACTIX, OURS, READ, rust("actix-ours", "redis"), "signed cookie; rolling by default"),
        entry(scene::READ_VALKEY, ACTIX, ACTIX_SESSION, READ, rust("actix-session", "read"), "encrypted cookie; the session would end a day after the last change"),

        entry(scene::COUNTER_VALKEY, AXUM, OURS, COUNT, rust("axum-ours", "redis"), SWAP),
        entry(scene::COUNTER_VALKEY, AXUM, TOWER_SESSIONS, COUNT, rust("axum-tower-sessions", "read"), "blind SET XX; cookie sent again each time"),
        entry(scene::COUNTER_VALKEY, ACTIX, OURS, COUNT, rust("actix-ours", "redis"), SWAP),
        entry(scene::COUNTER_VALKEY, ACTIX, ACTIX_SESSION, COUNT, rust("actix-session", "read"), "blind SET XX; cookie encrypted and sent again each time"),
    ]
}

// It links to everything.
#![cfg_attr(all(feature = "full", feature = "test-util"), doc = include_str!("../docs/front.md"))]
#![cfg_attr(
    not(all(feature = "full", feature = "test-util")),
    doc = "Web sessions that survive deploys, races and outages. With all features, this page links to everything."
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The paths of `device-bound` are served by adapters.
#![cfg_attr(
    all(feature = "device-bound", not(any(feature = "tower", feature = "actix-web"))),
    allow(dead_code, unused_imports)
)]
// One style: a module is `name.rs`, and what is in it stands in `name/`.
#![deny(clippy::mod_module_files)]

// What everybody needs.
mod clock;
mod error;
mod id;
mod random;
mod record;
#[cfg(any(feature = "json", feature = "memory"))]
mod shards;
#[cfg(any(feature = "json", feature = "memory", feature = "redis"))]
mod sync;
mod ttl;

// Where sessions are kept.
#[cfg(feature = "conformance")]
pub mod conformance;
mod store;

// The way of a request.
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod adapter;
#[cfg(feature = "json")]
mod codec;
#[cfg(feature = "json")]
mod config;
#[cfg(feature = "json")]
mod cookie;
#[cfg(feature = "json")]
mod engine;
#[cfg(feature = "json")]
mod telemetry;

#[cfg(all(fuzzing, feature = "express"))]
#[doc(hidden)]
pub mod fuzzing;

// Its examples are tested, too.
#[cfg(all(doctest, feature = "axum", feature = "memory"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(all(any(doc, doctest), feature = "express"))]
#[doc = include_str!("../docs/moving_from_express.md")]
pub mod moving_from_express {}

#[cfg(all(any(doc, doctest), feature = "memory", feature = "redis", feature = "json"))]
#[doc = include_str!("../docs/near_cache.md")]
pub mod near_cache {}

#[cfg(all(any(doc, doctest), feature = "full"))]
#[doc = include_str!("../docs/tenants.md")]
pub mod tenants {}

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/security.md")]
pub mod security {}

#[cfg(all(any(doc, doctest), feature = "full", feature = "test-util"))]
#[doc = include_str!("../docs/testing.md")]
pub mod testing {}

#[cfg(all(any(doc, doctest), feature = "full", feature = "test-util"))]
#[doc = include_str!("../docs/getting_started.md")]
pub mod getting_started {}

#[cfg(all(any(doc, doctest), feature = "memory", feature = "json"))]
#[doc = include_str!("../docs/expiry.md")]
pub mod expiry {}

#[cfg(all(any(doc, doctest), feature = "full"))]
#[doc = include_str!("../docs/moving_from_others.md")]
pub mod moving_from_others {}

#[cfg(all(any(doc, doctest), feature = "json"))]
#[doc = include_str!("../docs/concurrency.md")]
pub mod concurrency {}

#[cfg(all(any(doc, doctest), feature = "axum"))]
#[doc = include_str!("../docs/deployment.md")]
pub mod deployment {}

#[cfg(all(any(doc, doctest), feature = "json"))]
#[doc = include_str!("../docs/troubleshooting.md")]
pub mod troubleshooting {}

#[cfg(all(any(doc, doctest), feature = "json"))]
#[doc = include_str!("../docs/live.md")]
pub mod live {}

#[cfg(all(any(doc, doctest), feature = "device-bound", feature = "memory"))]
#[doc = include_str!("../docs/device_bound.md")]
pub mod device_bound {}

#[cfg(all(any(doc, doctest), feature = "full"))]
#[doc = include_str!("../docs/at_rest.md")]
pub mod at_rest {}

#[cfg(all(any(doc, doctest), feature = "full", feature = "test-util"))]
#[doc = include_str!("../docs/guards.md")]
pub mod guards {}

#[cfg(all(any(doc, doctest), feature = "full", feature = "test-util"))]
#[doc = include_str!("../docs/flash.md")]
pub mod flash {}

#[cfg(all(any(doc, doctest), feature = "full", feature = "test-util"))]
#[doc = include_str!("../docs/csrf.md")]
pub mod csrf {}

#[cfg(all(any(doc, doctest), feature = "full", feature = "test-util"))]
#[doc = include_str!("../docs/background.md")]
pub mod background {}

#[cfg(all(any(doc, doctest), feature = "full"))]
#[doc = include_str!("../docs/devices.md")]
pub mod devices {}

#[cfg(all(any(doc, doctest), feature = "full"))]
#[doc = include_str!("../docs/events.md")]
pub mod events {}

#[cfg(all(any(doc, doctest), feature = "full"))]
#[doc = include_str!("../docs/custom_store.md")]
pub mod custom_store {}

#[cfg(all(any(doc, doctest), feature = "full"))]
#[doc = include_str!("../docs/coming_from_node.md")]
pub mod coming_from_node {}

#[cfg(all(any(doc, doctest), feature = "redis", feature = "json"))]
#[doc = include_str!("../docs/operations.md")]
pub mod operations {}

#[cfg(doc)]
#[doc = include_str!("../docs/performance/page.md")]
///
#[doc = include_str!("../docs/performance/chart.svg")]
pub mod performance {}

// Crates whose names are in the API: a store of one's own needs them in the same version.
#[doc(no_inline)]
pub use {async_trait::async_trait, bytes};
#[cfg(feature = "json")]
#[doc(no_inline)]
pub use {futures_core, serde_json};

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::{BoxError, Conflict, Error};
pub use id::{SessionId, SessionKey};
pub use record::{Envelope, Extensions, Label, Moved, Owner, OwnerHash, Payload, Record, Revision};
#[cfg(feature = "memory")]
pub use store::fallback::{FallbackPolicy, FallbackStatus, FallbackStore};
pub use store::feed::{self, Feed};
pub use store::history::{self, History, HistoryBounds, HistoryEntry, HistoryEvent};
#[cfg(feature = "memory")]
pub use store::memory::MemoryStore;
#[cfg(feature = "memory")]
pub use store::near_cache::{NearCache, NearCacheStatus, NearCached};
pub use store::owner_index::{self as owners, Evict, OwnerIndex};
#[cfg(feature = "redis")]
pub use store::redis::layout::RedisLayout;
#[cfg(feature = "express")]
pub use store::redis::layout::express::ExpressLayout;
#[cfg(feature = "redis")]
pub use store::redis::target::Credentials;
#[cfg(feature = "redis")]
pub use store::redis::{RedisStore, RedisStoreBuilder, checkup};
pub use store::scan::{Cursor, OwnersPage, Page, Scan, SessionSummary, Usage};
pub use store::status::{StoreStatus, Topology};
pub use store::{Created, Loaded, Requirements, Rotation, SessionStore, Touch, Update, Updated};
pub use ttl::{MAX_TTL, Ttl};

#[cfg(feature = "json")]
pub use {
    codec::{Codec, Lenient},
    cookie::keys::{Key, KeyRing},
    cookie::{SameSite, SessionCookie},
    engine::{
        Clearing, ConflictPolicy, Ended, Expiry, Forgotten, HistoryScan, Recent, RequestSession,
        ResponseActions, Session, SessionData, SessionManager, SessionManagerBuilder, SessionScan, SiteData,
        ThoroughRevocation, Tidied, Tidying, Values,
    },
    record::{AuthMethod, AuthMethods},
    telemetry::analytics::{Hour, SessionsPerOwner},
    telemetry::counters::Counts,
    telemetry::histogram::Histogram,
    telemetry::operations::StoreLatencies,
    telemetry::session_events::{EventDetail, EventKind, RevokedBy, SessionEvent},
    telemetry::stats::{RedisStats, Stats},
};

#[cfg(feature = "device-bound")]
pub use engine::{Device, DeviceBinding, MissingProof};

#[cfg(feature = "seal")]
pub use engine::{SealRollout, Sealing};

#[cfg(feature = "metrics")]
pub use telemetry::metrics;

#[cfg(any(feature = "tower", feature = "actix-web"))]
pub use adapter::FailureResponse;
#[cfg(feature = "actix-web")]
pub use adapter::actix_web::SessionMiddleware;
#[cfg(feature = "tower")]
pub use adapter::tower::{SessionLayer, SessionService};

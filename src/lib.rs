// The README is the crate's documentation where its example compiles.
#![cfg_attr(all(feature = "axum", feature = "memory"), doc = include_str!("../README.md"))]
#![cfg_attr(
    not(all(feature = "axum", feature = "memory")),
    doc = "Web sessions that survive deploys, races and outages."
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod id;
mod random;
mod record;
mod store;
mod ttl;

// The engine.
#[cfg(any(feature = "tower", feature = "actix-web"))]
mod adapter;
#[cfg(feature = "json")]
mod codec;
#[cfg(feature = "json")]
mod config;
#[cfg(feature = "json")]
mod cookie;
#[cfg(feature = "json")]
mod counters;
#[cfg(feature = "json")]
mod expiry;
#[cfg(all(fuzzing, feature = "express"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "json")]
mod histogram;
#[cfg(feature = "json")]
mod lifecycle;
#[cfg(feature = "json")]
mod manager;
#[cfg(feature = "json")]
mod merge;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "json")]
mod ownership;
#[cfg(feature = "json")]
mod rate;
#[cfg(feature = "json")]
mod session;
#[cfg(feature = "json")]
mod stats;
#[cfg(feature = "json")]
mod values;

#[cfg(all(any(doc, doctest), feature = "express"))]
#[doc = include_str!("moving_from_express.md")]
pub mod moving_from_express {}

#[cfg(all(any(doc, doctest), feature = "redis", feature = "json"))]
#[doc = include_str!("operations.md")]
pub mod operations {}

#[cfg(doc)]
#[doc = include_str!("performance/page.md")]
///
#[doc = include_str!("performance/chart.svg")]
pub mod performance {}

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::{Conflict, Error};
pub use id::{SessionId, SessionKey};
pub use record::{Envelope, Label, Moved, Owner, Payload, Record, Revision};
#[cfg(feature = "memory")]
pub use store::fallback::{FallbackPolicy, FallbackStatus, FallbackStore};
#[cfg(feature = "memory")]
pub use store::memory::MemoryStore;
pub use store::owners::{self, Evict, OwnerIndex};
#[cfg(feature = "express")]
pub use store::redis::ExpressLayout;
#[cfg(feature = "redis")]
pub use store::redis::target::Credentials;
#[cfg(feature = "redis")]
pub use store::redis::{Health, RedisStore, RedisStoreBuilder, Topology, checkup};
pub use store::status::StoreStatus;
pub use store::survey::{Cursor, Page, SessionSummary, Survey, Usage};
pub use store::{Created, Loaded, Requirements, Rotation, SessionStore, Update, Updated};
pub use ttl::{MAX_TTL, Ttl};

#[cfg(feature = "json")]
pub use {
    codec::Codec,
    cookie::keys::{Key, KeyRing},
    cookie::{SameSite, SessionCookie},
    counters::Counts,
    expiry::Expiry,
    histogram::Histogram,
    manager::{Clearing, SessionManager, SessionManagerBuilder, SessionScan},
    merge::ConflictPolicy,
    session::{Effects, Exchange, Session, SessionData},
    stats::{RedisStats, Stats, StoreLatencies},
    values::Values,
};

#[cfg(any(feature = "tower", feature = "actix-web"))]
pub use adapter::FailureResponse;
#[cfg(feature = "actix-web")]
pub use adapter::actix_web::SessionMiddleware;
#[cfg(feature = "tower")]
pub use adapter::tower::{SessionLayer, SessionService};

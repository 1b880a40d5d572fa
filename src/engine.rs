//! The way of a request, from top to bottom.
//!
//! [`manager`] puts a service's sessions together. [`request`] takes a request in and sees its response out;
//! between the two, a handler holds a [`session`], whose [`state`] says what is known and wanted. At the
//! response, [`plan`] decides what is to be done, and [`commit`] does it: it merges what several requests
//! [`change`], and talks to the [`store_client`], behind which is the store.

mod all_sessions;
#[cfg_attr(not(any(feature = "seal", feature = "compress")), allow(dead_code, reason = "everything is open"))]
mod at_rest;
mod change;
mod commit;
#[cfg_attr(not(feature = "device-bound"), path = "engine/no_device.rs")]
mod device;
mod ended;
mod events;
pub(crate) mod expiry;
#[cfg(feature = "express")]
mod express;
mod handover;
mod history;
mod late_write;
mod manager;
mod manager_builder;
pub(crate) mod merge;
#[cfg(feature = "metrics")]
mod metrics_label;
mod owner_sessions;
mod plan;
mod recent;
mod reload;
mod request;
mod request_head;
mod session;
mod shielded;
mod sign_in;
mod site_data;
mod state;
mod store_client;
#[cfg(feature = "test-util")]
mod test_cookie;
mod thorough_revocation;
mod touch;
mod update;
mod values;
mod write;

pub use self::all_sessions::{Clearing, HistoryScan, SessionScan, Tidied, Tidying};
#[cfg(feature = "seal")]
pub use self::at_rest::{SealRollout, Sealing};
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) use self::device::DeviceAnswer;
#[cfg(all(fuzzing, feature = "device-bound"))]
pub(crate) use self::device::Proof;
#[cfg(feature = "device-bound")]
pub use self::device::{Device, DeviceBinding, MissingProof};
pub use self::ended::Ended;
pub use self::expiry::Expiry;
pub use self::history::Forgotten;
pub use self::manager::SessionManager;
pub use self::manager_builder::SessionManagerBuilder;
pub use self::merge::ConflictPolicy;
pub use self::recent::Recent;
pub use self::request::{RequestSession, ResponseActions};
pub use self::session::{Session, SessionData};
pub use self::site_data::SiteData;
pub use self::thorough_revocation::ThoroughRevocation;
pub use self::values::Values;

use self::manager::Inner;
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) use self::request::AnyRequestSession;
#[cfg(any(feature = "tower", feature = "actix-web"))]
pub(crate) use self::request_head::RequestHead;
use self::session::{Shared, VerifiedIds};

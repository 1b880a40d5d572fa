//! Web sessions that survive deploys, races and outages.
mod clock;
mod error;
#[cfg(feature = "json")]
mod expiry;
mod id;
mod random;
mod record;
mod store;
mod ttl;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error::{Conflict, Error};
#[cfg(feature = "json")]
pub use expiry::Expiry;
pub use id::{SessionId, SessionKey};
pub use record::{Envelope, Moved, Owner, Payload, Record, Revision};
pub use store::{Created, Loaded, Rotation, SessionStore, Updated};
pub use ttl::{MAX_TTL, Ttl};

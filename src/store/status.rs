//! How a store is, as far as is known without asking a server.

use crate::clock::Timestamp;

/// How a store is, as far as is known without asking a server; from
/// [`SessionStore::status`](crate::SessionStore::status).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// What kind of store it is: `memory`, `redis`, or what a store of one's own calls itself.
    pub kind: &'static str,
    /// How its servers are arranged: `standalone`, `sentinel`, `cluster`; nothing for a store without servers.
    pub topology: Option<&'static str>,
    /// Whether sessions can be read and written.
    pub connected: bool,
    /// Since when that is so, where it can change.
    pub since: Option<Timestamp>,
    /// Whether new sessions go to memory, because the store that they belong to is away.
    pub using_fallback: bool,
    /// How often a lost connection was made again.
    pub reconnects: u64,
    /// Why a connection was lost, or could not be made, the last time that this happened.
    pub last_error: Option<String>,
}

impl Default for StoreStatus {
    /// A store that is always there.
    fn default() -> Self {
        Self {
            kind: "custom",
            topology: None,
            connected: true,
            since: None,
            using_fallback: false,
            reconnects: 0,
            last_error: None,
        }
    }
}

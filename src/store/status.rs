//! How a store is, as far as is known without asking a server.

use std::fmt;

use crate::clock::Timestamp;

/// How a store is, as far as is known without asking a server; from
/// [`SessionStore::status`](crate::SessionStore::status).
///
/// ```
/// use session_store::SessionStore;
///
/// fn healthz(store: &dyn SessionStore) -> (u16, String) {
///     let status = store.status();
///     (if status.connected { 200 } else { 503 }, format!("{status:?}"))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "camelCase"))]
#[non_exhaustive]
pub struct StoreStatus {
    /// What kind of store it is: `memory`, `redis`, or what a store of one's own calls itself.
    pub kind: &'static str,
    /// How its servers are arranged; `None` for a store without servers.
    pub topology: Option<Topology>,
    /// Whether sessions can be read and written, as far as is known: an operation finds out first
    /// that a server froze. In a cluster, whether there is a connection for *every* session.
    pub connected: bool,
    /// Since when that is so, where it can change.
    pub since: Option<Timestamp>,
    /// How often a lost connection was made again, or one to a server that took over.
    pub reconnects: u64,
    /// How many writes too few replicas had confirmed in time; see
    /// `RedisStoreBuilder::wait_for_replicas`.
    pub unreplicated: u64,
    /// Why a connection was lost, or could not be made, the last time that this happened; with the
    /// address, and without secrets.
    pub last_error: Option<String>,
    /// How a [`FallbackStore`](crate::FallbackStore) is doing. The other fields are its primary's.
    #[cfg(feature = "memory")]
    pub fallback: Option<crate::FallbackStatus>,
    /// How a [`NearCache`](crate::NearCache) is doing, where there is one.
    #[cfg(feature = "memory")]
    pub near_cache: Option<crate::NearCacheStatus>,
}

impl Default for StoreStatus {
    /// A store that is always there.
    fn default() -> Self {
        Self {
            kind: "custom",
            topology: None,
            connected: true,
            since: None,
            reconnects: 0,
            unreplicated: 0,
            last_error: None,
            #[cfg(feature = "memory")]
            fallback: None,
            #[cfg(feature = "memory")]
            near_cache: None,
        }
    }
}

impl StoreStatus {
    /// Whether new sessions go to memory, because the store that they belong to is away.
    pub fn uses_fallback(&self) -> bool {
        #[cfg(feature = "memory")]
        return self.fallback.is_some_and(|fallback| fallback.open);
        #[cfg(not(feature = "memory"))]
        false
    }
}

/// How the servers of a store are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Topology {
    /// One server, or a name behind which there is one at a time.
    Standalone,
    /// A master and its replicas, watched by sentinels.
    Sentinel,
    /// Redis Cluster.
    Cluster,
}

impl Topology {
    /// Its name for machines: `standalone`, `sentinel` or `cluster`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! How a store is, as far as is known without asking a server.

use std::fmt;

use crate::clock::Timestamp;

/// The status of a store, as far as it is known without asking a server; from
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
    /// The kind of store: `memory`, `redis`, or the name that a custom store gives itself.
    pub kind: &'static str,
    /// The arrangement of its servers; `None` for a store without servers.
    pub topology: Option<Topology>,
    /// Whether sessions can be read and written, as far as is known: that a server froze shows only when an operation
    /// times out. In a cluster, whether there is a connection for *every* session.
    pub connected: bool,
    /// Since when `connected` is as it is, for a store where it can change.
    pub since: Option<Timestamp>,
    /// Times that a lost connection was made again, or one to a server that took over.
    pub reconnects: u64,
    /// Writes that too few replicas confirmed in time; see
    /// `RedisStoreBuilder::wait_for_replicas`.
    pub unreplicated: u64,
    /// Why a connection was last lost, or could not be made; with the
    /// address, and without secrets.
    pub last_error: Option<String>,
    /// The status of a [`FallbackStore`](crate::FallbackStore). The other fields are its primary's.
    #[cfg(feature = "memory")]
    pub fallback: Option<crate::FallbackStatus>,
    /// The status of a [`NearCache`](crate::NearCache), if there is one.
    #[cfg(feature = "memory")]
    pub near_cache: Option<crate::NearCacheStatus>,
}

impl Default for StoreStatus {
    /// The status of a store that is always there.
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
    ///
    /// ```
    /// use session_store::StoreStatus;
    ///
    /// /// A service that falls back still serves: no reason to restart it, but one to look.
    /// fn health(status: &StoreStatus) -> &'static str {
    ///     match (status.connected, status.uses_fallback()) {
    ///         (true, _) => "ok",
    ///         (false, true) => "new sessions are in memory",
    ///         (false, false) => "down",
    ///     }
    /// }
    /// assert_eq!(health(&StoreStatus::default()), "ok");
    /// ```
    pub fn uses_fallback(&self) -> bool {
        #[cfg(feature = "memory")]
        return self.fallback.is_some_and(|fallback| fallback.open);
        #[cfg(not(feature = "memory"))]
        false
    }
}

/// The arrangement of a store's servers.
///
/// ```
/// use session_store::Topology;
///
/// assert_eq!(Topology::Cluster.as_str(), "cluster");
/// assert_eq!(format!("{:>10}", Topology::Sentinel.to_string()), "  sentinel");
/// ```
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
    /// The name for machines: `standalone`, `sentinel` or `cluster`. See the [example](Self).
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

//! `RedisStoreBuilder`: what a store is made of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::RedisStore;
use super::checkup::Entrance;
use super::connection::{Connections, Replication, Settings};
#[cfg(feature = "memory")]
use super::copied::Copied;
use super::failure::Effect;
use super::layout::{Base, RedisLayout};
use super::name::Prefix;
use super::target::{ClientCertificate, Credentials, Login, Pem, Target, Tls};
use crate::error::{BoxError, Error};
#[cfg(feature = "memory")]
use crate::store::near_cache::NearCache;
use crate::store::record_limit::RecordLimit;

/// Settings of a [`RedisStore`]; made by [`RedisStore::builder`].
///
/// What is set here takes precedence over what the URL says.
///
/// ```no_run
/// use session_store::RedisStore;
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), session_store::Error> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379/2")
///     .prefix("myapp:")
///     .timeout(Duration::from_millis(250))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct RedisStoreBuilder {
    /// A fault of the URL waits until connecting.
    target: Result<Target, Error>,
    prefix: String,
    timeout: Duration,
    connections: usize,
    replication: Option<Replication>,
    layout: RedisLayout,
    compare_by_script: bool,
    #[cfg(feature = "memory")]
    near_cache: Option<NearCache>,
}

impl RedisStore {
    /// Settings for the servers that `url` names.
    ///
    #[doc = include_str!("url.md")]
    pub fn builder(url: impl AsRef<str>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(Target::from_url(url.as_ref()))
    }
}

impl RedisStoreBuilder {
    /// So long may an operation take at most, and so long may it wait for replicas.
    pub(crate) const LONGEST: Duration = Duration::from_secs(60 * 60);
    pub(crate) const MOST_CONNECTIONS: usize = 64;

    fn new(target: Result<Target, Error>) -> Self {
        Self {
            target,
            prefix: RedisStore::DEFAULT_PREFIX.to_owned(),
            timeout: RedisStore::DEFAULT_TIMEOUT,
            connections: 1,
            replication: None,
            layout: RedisLayout::native(),
            compare_by_script: false,
            #[cfg(feature = "memory")]
            near_cache: None,
        }
    }

    /// For whoever names the servers otherwise than by one URL.
    #[cfg(feature = "json")]
    pub(crate) fn from_target(target: Target) -> Self {
        Self::new(Ok(target))
    }

    /// What the names of the keys begin with, `session:` by default. Braces are refused when
    /// connecting: they are a Redis Cluster hash tag.
    ///
    /// Services that share a Redis database need different prefixes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long an operation may take, and an attempt to connect; 500 ms by default, and one hour
    /// at most. A write that takes longer fails with its outcome unknown.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many connections to each server share the operations; 1 by default, 1 to 64.
    ///
    /// One carries the operations of all tasks at once, and beats several on most machines: they
    /// pay where a single core is busy with reading and writing it.
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// Makes what must not be lost wait until it is on so many replicas too: signing in, a new id,
    /// and ending a session. A logout that was acknowledged then survives the loss of the master.
    ///
    /// Each server is asked by a [`WAIT`](https://redis.io/docs/latest/commands/wait/) on a
    /// connection of its own. If too few replicas confirm `within` that time (whole milliseconds, at
    /// least one), the operation fails with [`Error::Unavailable`], which says so, though the master
    /// has the write; [`StoreStatus::unreplicated`](crate::StoreStatus::unreplicated) counts them. These
    /// operations may take twice `within` longer than the [timeout](Self::timeout).
    ///
    /// Name as many replicas as a master has, less those that you can do without: of several, one
    /// that did not confirm may be promoted.
    pub fn wait_for_replicas(mut self, replicas: u32, within: Duration) -> Self {
        self.replication = Some(Replication { replicas, within });
        self
    }

    /// How sessions are kept: in this crate's own layout, unless they are shared with an Express service.
    pub fn layout(mut self, layout: RedisLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Keeps copies of sessions in this process, so that most requests ask no server. See [`NearCache`] for what is promised
    /// of them.
    ///
    /// A user with an ACL needs `+client|tracking +role +pttl` for it. Without, or where a server does not speak RESP3,
    /// copies are not used, and the log says why, but for `+pttl`.
    #[cfg(feature = "memory")]
    pub fn near_cache(mut self, near_cache: NearCache) -> Self {
        self.near_cache = Some(near_cache);
        self
    }

    /// The credentials, instead of those in the URL.
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.with(|target| target.login = Login::Fixed(credentials))
    }

    /// Where to get the credentials from before each attempt to connect, so that a password that
    /// was changed, or a token that expires, needs no restart.
    ///
    /// It is called on the runtime, so it must not block: read a file, or what another task keeps
    /// up to date. If it fails, the attempt does, and is repeated.
    ///
    /// ```no_run
    /// use session_store::{Credentials, RedisStore};
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let store = RedisStore::builder("redis://redis.internal")
    ///     .credentials_from(|| {
    ///         let password = std::fs::read_to_string("/run/secrets/redis")?;
    ///         Ok(Credentials::user("sessions", password.trim_end()))
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials_from(
        self,
        source: impl Fn() -> Result<Credentials, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.with(|target| target.login = Login::Provider(Arc::new(source)))
    }

    /// The credentials of the sentinels, which have users of their own.
    pub fn sentinel_credentials(self, credentials: Credentials) -> Self {
        self.with(|target| target.sentinel_login = Login::Fixed(credentials))
    }

    /// TLS, as `rediss` in the URL; with the server's certificate verified by the authorities that
    /// the system trusts.
    pub fn tls(self) -> Self {
        self.with_tls(|_| {})
    }

    /// TLS, trusting the certificates in this PEM text alone.
    pub fn tls_authorities(self, pem: impl Into<Vec<u8>>) -> Self {
        self.with_tls(|tls| tls.authorities = Some(Pem::Text(pem.into())))
    }

    /// TLS with a client certificate and its key, in PEM text.
    pub fn tls_client(self, certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let (certificate, key) = (Pem::Text(certificate.into()), Pem::Text(key.into()));
        self.with_tls(|tls| tls.client = Some(ClientCertificate { certificate, key }))
    }

    /// Compares by a script also where the server can compare by itself, for tests.
    #[doc(hidden)]
    pub fn compare_by_script(mut self) -> Self {
        self.compare_by_script = true;
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for settings that cannot work. [`Error::Unavailable`] if no server can be
    /// reached within the timeout, [`Error::Refused`] if it does not let us in.
    pub async fn connect(self) -> Result<RedisStore, Error> {
        let store = self.build()?;
        store.connections.connect().await.map_err(|failure| failure.into_error(Effect::Read))?;
        Ok(store)
    }

    /// Connects, or goes on trying in the background if no server can be reached: operations fail with
    /// [`Error::Unavailable`] until one can. For a service that shall start while Redis is down.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), but for [`Error::Unavailable`].
    pub async fn connect_eventually(self) -> Result<RedisStore, Error> {
        let store = self.build()?;
        match store.connections.connect().await.map_err(|failure| failure.into_error(Effect::Read)) {
            Ok(()) => {}
            Err(error @ Error::Unavailable { .. }) => {
                tracing::warn!("starting without Redis: {error}");
                store.connections.start();
            }
            Err(error) => return Err(error),
        }
        Ok(store)
    }

    fn build(self) -> Result<RedisStore, Error> {
        let prefix = Prefix::new(self.prefix)?;
        let fault = |words: &str| Err(Error::Config(words.to_owned()));
        if self.timeout.is_zero() || self.timeout > Self::LONGEST {
            return fault("the timeout of a Redis store must be longer than zero, and one hour at most");
        }
        if !(1..=Self::MOST_CONNECTIONS).contains(&self.connections) {
            return fault("a Redis store has 1 to 64 connections to a server");
        }
        if let Some(Replication { replicas, within }) = self.replication
            && (replicas == 0 || within < Duration::from_millis(1) || within > Self::LONGEST)
        {
            return fault(
                "waiting for replicas takes at least one replica, and from one millisecond to one hour",
            );
        }
        let settings = Settings::new(self.timeout, self.connections, self.replication);
        let target = self.target?;
        let entrance = Entrance::of(&target);
        let connections = Arc::new(Connections::new(target, &settings)?);
        let limit = RecordLimit::default();
        let base = Base {
            prefix,
            limit: limit.clone(),
            connections: Arc::clone(&connections),
            compare_by_script: self.compare_by_script,
        };
        let store = RedisStore::new(self.layout.build(base), limit, connections, entrance);
        #[cfg(feature = "memory")]
        if let Some(near_cache) = self.near_cache {
            return Ok(RedisStore { copied: Copied::of(near_cache, &store)?, ..store });
        }
        Ok(store)
    }

    fn with(mut self, set: impl FnOnce(&mut Target)) -> Self {
        if let Ok(target) = &mut self.target {
            set(target);
        }
        self
    }

    fn with_tls(self, set: impl FnOnce(&mut Tls)) -> Self {
        self.with(|target| set(target.tls.get_or_insert_default()))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(not(feature = "memory"))]
        let near_cache = None::<()>;
        #[cfg(feature = "memory")]
        let near_cache = &self.near_cache;
        f.debug_struct("RedisStoreBuilder")
            .field("near_cache", &near_cache)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .field("replication", &self.replication)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

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
use super::namespace::Common;
use super::target::{ClientCertificate, Credentials, Login, Pem, Target, Tls};
use crate::error::{BoxError, Error};
#[cfg(feature = "memory")]
use crate::store::near_cache::NearCache;
use crate::store::record_limit::RecordLimit;

/// Settings of a [`RedisStore`]; made by [`RedisStore::builder`].
///
/// They take precedence over the URL.
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
    /// Starts a builder for the servers that `url` names. A fault of the URL is reported when connecting.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let builder = RedisStore::builder("redis-sentinel://sentinel1,sentinel2,sentinel3/mymaster");
    /// let store = builder.prefix("shop:").connect().await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Sets the prefix of the keys, `session:` by default. Braces are refused when
    /// connecting: they are a Redis Cluster hash tag.
    ///
    /// Services that share a Redis database need different prefixes. Within one service,
    /// [`with_prefix`](RedisStore::with_prefix) makes stores of different prefixes on the same connections.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let shop = RedisStore::builder("redis://127.0.0.1").prefix("shop:").connect().await?;
    /// let forum = RedisStore::builder("redis://127.0.0.1").prefix("forum:").connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long an operation or an attempt to connect may take; 500 ms by default, and one hour
    /// at most. A write that takes longer fails with its outcome unknown.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    /// use std::time::Duration;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// // Redis is far away: a round trip takes 200 ms.
    /// let store = RedisStore::builder("redis://redis.example.com").timeout(Duration::from_secs(2)).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many connections to each server share the operations; 1 by default, 1 to 64.
    ///
    /// One carries the operations of all tasks at once, and beats several on most machines: several
    /// pay if a single core is busy with reading and writing one.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let store = RedisStore::builder("redis://127.0.0.1").connections(4).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// Makes sign-ins, new ids and the ends of sessions wait until so many replicas have them too. A logout that was
    /// acknowledged then survives the loss of the master.
    ///
    /// Each server is asked by a [`WAIT`](https://redis.io/docs/latest/commands/wait/) on a
    /// separate connection. If too few replicas confirm `within` that time (whole milliseconds, at
    /// least one), the operation fails with an [`Error::Unavailable`] that says so, though the master
    /// has the write; [`StoreStatus::unreplicated`](crate::StoreStatus::unreplicated) counts them. These
    /// operations may take twice `within` longer than the [timeout](Self::timeout).
    ///
    /// Name as many replicas as a master has, less those that you can do without: of several, one
    /// that did not confirm may be promoted.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    /// use std::time::Duration;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// // A master and two replicas, of which one may be away.
    /// let store = RedisStore::builder("redis-sentinel://sentinel1,sentinel2/mymaster")
    ///     .wait_for_replicas(1, Duration::from_millis(100))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for_replicas(mut self, replicas: u32, within: Duration) -> Self {
        self.replication = Some(Replication { replicas, within });
        self
    }

    /// Sets how sessions are kept: in this crate's own layout by default; another one shares them with an Express
    /// service.
    ///
    /// ```no_run
    /// use session_store::{RedisLayout, RedisStore};
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// // The default; with the feature `express` there are others.
    /// let store = RedisStore::builder("redis://127.0.0.1").layout(RedisLayout::native()).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn layout(mut self, layout: RedisLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Keeps copies of sessions in this process, so that most requests ask no server. [`NearCache`] tells how old they
    /// may be, and has an example. Stores made [`with_prefix`](RedisStore::with_prefix) share its bytes.
    ///
    /// A user with an ACL needs `+client|tracking +role +pttl` for it. Without these, or if a server does not speak RESP3,
    /// copies are not used; the log says why, except for a missing `+pttl`.
    #[cfg(feature = "memory")]
    pub fn near_cache(mut self, near_cache: NearCache) -> Self {
        self.near_cache = Some(near_cache);
        self
    }

    /// Sets the credentials, instead of those in the URL.
    ///
    /// ```no_run
    /// use session_store::{Credentials, RedisStore};
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// # let password = "from a vault";
    /// // No escapes to think of, as there would be in a URL.
    /// let store = RedisStore::builder("redis://redis.internal")
    ///     .credentials(Credentials::user("sessions", password))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.with(|target| target.login = Login::Fixed(credentials))
    }

    /// Sets a source of credentials that is asked before each attempt to connect, so that a changed password, or a
    /// token that expires, needs no restart.
    ///
    /// It is called on the runtime, so it must not block: read a file, or a value that another task keeps
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

    /// Sets the credentials of the sentinels, which have their own users.
    ///
    /// ```no_run
    /// use session_store::{Credentials, RedisStore};
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let store = RedisStore::builder("redis-sentinel://sentinel1,sentinel2/mymaster")
    ///     .credentials(Credentials::user("sessions", "of the servers"))
    ///     .sentinel_credentials(Credentials::password("of the sentinels"))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sentinel_credentials(self, credentials: Credentials) -> Self {
        self.with(|target| target.sentinel_login = Login::Fixed(credentials))
    }

    /// Turns TLS on, as `rediss` in the URL does; the server's certificate is verified by the authorities that
    /// the system trusts. Needs the feature `tls`.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let store = RedisStore::builder("redis://redis.example.com:6380").tls().connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls(self) -> Self {
        self.with_tls(|_| {})
    }

    /// Turns TLS on, trusting only the certificates in this PEM text. Needs the feature `tls`.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let authorities = std::fs::read("/etc/ssl/private-ca.pem").expect("the file is readable");
    /// let store = RedisStore::builder("rediss://redis.internal").tls_authorities(authorities).connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tls_authorities(self, pem: impl Into<Vec<u8>>) -> Self {
        self.with_tls(|tls| tls.authorities = Some(Pem::Text(pem.into())))
    }

    /// Turns TLS on, with a client certificate and its key in PEM text. Needs the feature `tls`.
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// let read = |path: &str| std::fs::read(path).expect("the file is readable");
    /// let store = RedisStore::builder("rediss://redis.internal")
    ///     .tls_client(read("/etc/ssl/shop.pem"), read("/etc/ssl/shop.key"))
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Connects, or fails if no server can be reached.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for settings that cannot work. [`Error::Unavailable`] if no server can be
    /// reached within the timeout, [`Error::Refused`] if it rejects the credentials.
    ///
    /// ```no_run
    /// use session_store::{Error, RedisStore, SessionStore as _};
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// match RedisStore::builder("redis://127.0.0.1").connect().await {
    ///     Ok(store) => println!("{:?}", store.status()),
    ///     Err(Error::Unavailable { reason, .. }) => println!("start Redis first: {reason}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(self) -> Result<RedisStore, Error> {
        let store = self.build()?;
        store.connections.connect().await.map_err(|failure| failure.into_error(Effect::Read))?;
        Ok(store)
    }

    /// Connects, or keeps trying in the background if no server can be reached: operations fail with
    /// [`Error::Unavailable`] until one can. For a service that must be able to start while Redis is down.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), except for [`Error::Unavailable`].
    ///
    /// ```no_run
    /// use session_store::RedisStore;
    ///
    /// # async fn example() -> Result<(), session_store::Error> {
    /// // Wrong settings are an error all the same; a Redis that is away is a warning in the log.
    /// let store = RedisStore::builder("redis://127.0.0.1").connect_eventually().await?;
    /// # Ok(())
    /// # }
    /// ```
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
                "waiting for replicas takes at least one replica, and a time from one millisecond to one hour",
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
        let common = Common::new(&connections, entrance);
        let store = RedisStore::new(self.layout.build(base), limit, common);
        #[cfg(feature = "memory")]
        if let Some(near_cache) = self.near_cache {
            let store = RedisStore { copied: Copied::new(&near_cache)?, ..store };
            store.copied.begin(&store);
            return Ok(store);
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

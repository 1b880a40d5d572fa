//! Settings from the environment.

mod at_rest;
mod cookie;
mod environment;
mod history;
mod layout;
mod owner_limit;
#[cfg(feature = "redis")]
mod redis;
#[cfg(not(feature = "redis"))]
#[path = "config/no_redis.rs"]
mod redis;
mod secrets;
mod servers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::at_rest::AtRestSettings;
use self::environment::Environment;
use self::layout::Layout;
use self::redis::RedisSettings;
use self::servers::Servers;
use crate::cookie::SessionCookie;
use crate::cookie::keys::KeyRing;
use crate::engine::SessionData;
use crate::engine::expiry::Expiry;
use crate::engine::{SessionManager, SessionManagerBuilder};
use crate::error::Error;
use crate::store::SessionStore;
use crate::store::history::HistoryBounds;
use crate::store::owner_index::OwnerLimit;
use crate::ttl::MAX_TTL;

impl<T: SessionData> SessionManager<T> {
    /// Makes a builder with the store, the keys, the cookie and the expiry that the environment sets:
    /// Redis if a variable names a server, else memory, with a warning that sessions end with the process.
    ///
    /// | variable | meaning | default | example |
    /// |---|---|---|---|
    /// | `REDIS_URL` | the Redis servers that keep the sessions, see [below](#the-url); or `memory:` | no Redis: memory | `rediss://default:secret@redis.example.com:6380/0` |
    /// | `REDIS_CLUSTER_NODES` | instead of a URL: some nodes of a Redis Cluster | | `10.0.0.1:6379,10.0.0.2:6379` |
    /// | `REDIS_SENTINELS` | instead of a URL: the sentinels that know the server | | `10.0.0.1:26379,10.0.0.2:26379` |
    /// | `REDIS_SENTINEL_MASTER` | the name of the master at these sentinels | `mymaster` | `sessions` |
    /// | `REDIS_SENTINEL_USERNAME` | the user at the sentinels | their default user | `watcher` |
    /// | `REDIS_SENTINEL_PASSWORD` | the password at the sentinels | none | `correct horse` |
    /// | `REDIS_SENTINEL_PASSWORD_FILE` | a file that holds it, read again at each attempt to connect | | `/run/secrets/sentinel` |
    /// | `REDIS_HOST` | instead of a URL: the one server's host | | `redis.example.com` |
    /// | `REDIS_PORT` | its port; `tcp://…`, which Kubernetes sets for a service named redis, counts as not set | `6379` | `6380` |
    /// | `REDIS_USERNAME` | the user of Redis' access control list | the default user | `sessions` |
    /// | `REDIS_PASSWORD` | the password at the servers | none | `correct horse` |
    /// | `REDIS_PASSWORD_FILE` | a file that holds the password, read again at each attempt to connect | | `/run/secrets/redis` |
    /// | `REDIS_DB` | the database | `0` | `2` |
    /// | `REDIS_TLS` | `true`: TLS | as the URL's scheme says; else `false` | `true` |
    /// | `REDIS_TLS_CACERT` | PEM file of the authorities to trust instead of the system's | | `/etc/redis/ca.pem` |
    /// | `REDIS_TLS_CERT` | PEM file of the client's own certificate | none | `/etc/redis/cert.pem` |
    /// | `REDIS_TLS_KEY` | PEM file of its key | | `/etc/redis/key.pem` |
    /// | `REDIS_TLS_INSECURE` | `true`: accept any certificate, and so any machine in the middle | `false` | `true` |
    /// | `REDIS_TIMEOUT` | how long an operation may take, and an attempt to connect: `1ms` to `3600s`, always with its unit | `500ms` | `2s` |
    /// | `REDIS_CONNECTIONS` | how many connections to each server share the operations: 1 to 64, see `RedisStoreBuilder::connections` | `1` | `2` |
    /// | `REDIS_WAIT_REPLICAS` | sign-ins, new ids and logouts wait until they are on so many replicas, see `RedisStoreBuilder::wait_for_replicas` | they don't wait | `1` |
    /// | `REDIS_WAIT_TIMEOUT` | how long they wait before they fail | `500ms` | `100ms` |
    /// | `REDIS_ENABLED` | `false`: memory, whatever else is set; `true`: an error unless a server is named | Redis if a server is named | `false` |
    /// | `SESSION_FALLBACK` | memory while Redis is away: `never`, `at-start` or `while-down` | `never` | `while-down` |
    /// | `SESSION_NEAR_CACHE` | copies of Redis' sessions in this process: how many bytes, see `NearCache` | no copies | `64MiB` |
    /// | `SESSION_NEAR_CACHE_BOUND` | how old a copy may be at most: `100ms` to `30s`, always with its unit | `2s` | `500ms` |
    /// | `SESSION_SECRET` | comma-separated secrets of at least 32 bytes: the first signs, all verify, see [below](#secrets) | needed with Redis; random in memory | what `openssl rand -base64 48` prints |
    /// | `SESSION_SECRET_FILE` | instead of `SESSION_SECRET`: a file that holds them, one a line, read once at the start | | `/run/secrets/session` |
    /// | `SESSION_SEAL_KEY` | encrypts what is stored of sessions (feature `seal`): comma-separated secrets, as in `SESSION_SECRET`; the first seals, all open, see `Sealing` | nothing is encrypted | what `openssl rand -base64 48` prints |
    /// | `SESSION_SEAL_KEY_FILE` | instead of `SESSION_SEAL_KEY`: a file that holds them, one a line | | `/run/secrets/seal` |
    /// | `SESSION_SEAL_ROLLOUT` | how far that is rolled out: `accept`, `write` or `require` | `write` | `accept` |
    /// | `SESSION_SEAL_AND_ID` | `true`: it takes the visitor's id too to open a session | `false` | `true` |
    /// | `SESSION_SEAL_LABELS` | `true`: labels are sealed too | `false` | `true` |
    /// | `SESSION_COMPRESS_ABOVE` | compresses data of more than so many bytes (feature `compress`) | nothing is compressed | `1024` |
    /// | `SESSION_TTL` | how long a session lives without use: `30m`, `24h`, `7d`, or in seconds | `24h` | `30m` |
    /// | `SESSION_ABSOLUTE_TTL` | how long it lives at most after its sign-in | `30d`, or `SESSION_TTL` if that is longer; none in the layouts of Express | `12h` |
    /// | `SESSION_PREFIX` | the prefix of this application's keys in Redis | `session:` | `shop:` |
    /// | `SESSION_MAX_PER_OWNER` | how many sessions an owner may have at once: 1 to 1000, see [`max_sessions_per_owner`] | any number | `5` |
    /// | `SESSION_OVER_LIMIT` | the effect of a sign-in beyond that: `oldest` ends the session with the earliest sign-in, `refuse` refuses the new one with 409 | `oldest` | `refuse` |
    /// | `SESSION_HISTORY` | keeps a history of each owner's sessions, of so many entries: 1 to 10,000; personal data, see [`history`] | no history | `100` |
    /// | `SESSION_HISTORY_AGE` | how far back it reaches: a second to 400 days | `90d` | `30d` |
    /// | `SESSION_COOKIE_NAME` | the cookie's name | `__Host-Http-id`; `__Secure-id` with a domain or a path; `id` where not secure | `sid` |
    /// | `SESSION_COOKIE_SECURE` | `false`: the cookie travels over plain http, for development | `true` | `false` |
    /// | `SESSION_COOKIE_SAMESITE` | whether requests that another site started carry the cookie: `strict`, `lax` or `none`, see [`SameSite`] | `lax` | `strict` |
    /// | `SESSION_COOKIE_DOMAIN` | sends the cookie to every host of this domain; read [`domain`] first | none: the host that set it | `example.com` |
    /// | `SESSION_COOKIE_PATH` | limits the cookie to URLs below this path | `/` | `/shop` |
    /// | `SESSION_COOKIE_PARTITIONED` | `true`: a cookie of its own on each site that embeds this one | `false` | `true` |
    /// | `SESSION_COOKIE_PERSISTENT` | `true`: the cookie outlives the browser, for as long as its session lives | `false` | `true` |
    /// | `SESSION_LAYOUT` | how sessions are kept in Redis: `native`; `express`, shared with express-session; on the way from there, `express-before-move` and `move-to-native`, see [below](#sessions-of-express) | `native` | `express` |
    /// | `SESSION_EXPRESS_PREFIX` | the prefix of the keys of the Express service | `sess:` | `shop:` |
    ///
    /// An empty variable counts as not set.
    ///
    /// [`max_sessions_per_owner`]: SessionManagerBuilder::max_sessions_per_owner
    /// [`history`]: SessionManagerBuilder::history
    /// [`SameSite`]: crate::SameSite
    /// [`domain`]: SessionCookie::domain
    ///
    /// # What takes precedence
    ///
    /// - `REDIS_ENABLED=false` or `REDIS_URL=memory:`: memory, and the other variables about Redis are not read.
    /// - The servers are named by the first of `REDIS_URL`, `REDIS_CLUSTER_NODES`, `REDIS_SENTINELS` and
    ///   `REDIS_HOST` that is set. A warning names the others that are set, which are ignored.
    /// - User, password, database and TLS are the URL's if it has them; the variables add what it
    ///   leaves out. So `REDIS_URL=redis://host` and a separate `REDIS_PASSWORD` go together. A warning names
    ///   variables that contradict the URL.
    /// - Refused, because either of the two could be a mistake: `rediss://` with `REDIS_TLS=false` and the like,
    ///   `REDIS_PASSWORD` with `REDIS_PASSWORD_FILE`, any of these variables while none names a server, and a cookie that
    ///   browsers would refuse: `SESSION_COOKIE_SAMESITE=none` with `SESSION_COOKIE_SECURE=false`, a
    ///   `SESSION_COOKIE_DOMAIN` with a name that begins with `__Host-`.
    /// - Settings on the builder afterwards win, as a whole: a `.cookie(…)` replaces all of
    ///   `SESSION_COOKIE_…`, an `.expiry(…)` both timeouts.
    ///
    /// ```no_run
    /// use session_store::{Codec, SessionManager};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), session_store::Error> {
    /// let manager = SessionManager::<u32>::from_env().await?.codec(Codec::Json).build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Secrets
    ///
    /// A secret is drawn at random, by `openssl rand -base64 48` for example. Placeholders, patterns and sequences are
    /// refused, as [`Key::new`](crate::Key::new) says.
    ///
    /// In `SESSION_SECRET` commas separate secrets, and a blank may follow a comma. A secret with a comma of its own,
    /// or with blanks around it, goes into a file: each line of `SESSION_SECRET_FILE`, without its line break, is a
    /// secret, taken literally. Empty lines at the end of the file do not count. Refused, because a wrong secret would
    /// verify no cookie: a `SESSION_SECRET` that begins or ends with a blank, or
    /// that has a comma in it and characters other than letters, digits and `+/=-_`; both variables at once; a file
    /// that everybody may write.
    ///
    /// # Sessions of Express
    ///
    /// With a `SESSION_LAYOUT` other than `native` (feature `express`), `SESSION_SECRET` or `SESSION_SECRET_FILE` holds
    /// the secrets of the Express service. They may be of any length, placeholders too, since no others
    /// verify that service's cookies; a warning is logged for those that could be guessed. The cookie is called
    /// `connect.sid` unless `SESSION_COOKIE_NAME` is set. Node takes the cookie's attributes from the stored session, and
    /// these come from the environment: a `.cookie(…)` on the builder does not reach them.
    /// `RedisLayout::express`, `express_before_move` and `move_to_native` tell what is written where; the page
    /// `moving_from_express` leads from one to the next.
    ///
    /// # The URL
    ///
    #[doc = include_str!("store/redis/url.md")]
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the wrong variable, its fault and a correct
    /// example, never a secret; and the errors of connecting to Redis.
    pub async fn from_env() -> Result<SessionManagerBuilder<T>, Error> {
        let lookup = |name: &str| std::env::var_os(name);
        Settings::read(&Environment::new(&lookup))?.builder().await
    }
}

/// Whether these variables are settings.
#[cfg(all(fuzzing, feature = "express"))]
pub(crate) fn check(lookup: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<(), Error> {
    Settings::read(&Environment::new(lookup)).map(drop)
}

/// What the environment says.
#[derive(Debug)]
struct Settings {
    /// `None` is memory.
    redis: Option<RedisSettings>,
    fallback: Fallback,
    layout: Layout,
    keys: Option<KeyRing>,
    expiry: Expiry,
    prefix: Option<String>,
    cookie: SessionCookie,
    owner_limit: Option<OwnerLimit>,
    history: Option<HistoryBounds>,
    at_rest: AtRestSettings,
    /// What is set, but has no effect.
    warnings: Vec<String>,
}

/// What happens while Redis is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fallback {
    #[default]
    Never,
    AtStart,
    WhileDown,
}

impl Settings {
    fn read(environment: &Environment<'_>) -> Result<Self, Error> {
        let mut warnings = Vec::new();
        let servers = Servers::read(environment)?;
        let redis =
            servers.map(|servers| RedisSettings::read(environment, servers, &mut warnings)).transpose()?;
        let fallback = match environment.text("SESSION_FALLBACK")?.as_deref() {
            None => Fallback::default(),
            Some("never") => Fallback::Never,
            Some("at-start") => Fallback::AtStart,
            Some("while-down") => Fallback::WhileDown,
            Some(other) => {
                let fault = "give `never`, `at-start` or `while-down`";
                return Err(environment::wrong("SESSION_FALLBACK", other, fault));
            }
        };

        let layout = Layout::read(environment, &mut warnings)?;
        let mut expiry = layout.expiry();
        if let Some(idle) = environment.duration("SESSION_TTL")? {
            if idle > MAX_TTL {
                let why = "that is the maximum, and a number without a unit is in seconds";
                warnings.push(format!("SESSION_TTL has no effect beyond 400 days: {why}"));
            }
            let absolute = expiry.absolute_timeout().map(|absolute| absolute.max(idle));
            expiry = absolute.map_or(Expiry::idle(idle), |absolute| Expiry::idle(idle).absolute(absolute));
        }
        if let Some(absolute) = environment.duration("SESSION_ABSOLUTE_TTL")? {
            expiry = expiry.absolute(absolute);
        }

        if redis.is_none() && !layout.is_native() {
            let why = "without Redis, nothing is shared with Express, whose cookies have the same name";
            warnings.push(format!("SESSION_LAYOUT has no effect on the sessions: {why}"));
        }
        let cookie = cookie::cookie(environment, &layout)?;
        let owner_limit = owner_limit::owner_limit(environment, &mut warnings)?;
        let history = history::history(environment, &mut warnings)?;
        let keys = secrets::keys(environment, &layout, &mut warnings)?;
        let prefix = environment.text("SESSION_PREFIX")?;
        let at_rest = AtRestSettings::read(environment)?;
        Ok(Self {
            redis,
            fallback,
            layout,
            keys,
            expiry,
            prefix,
            cookie,
            owner_limit,
            history,
            at_rest,
            warnings,
        })
    }

    fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
    }

    async fn builder<T: SessionData>(self) -> Result<SessionManagerBuilder<T>, Error> {
        self.warn();
        let builder = match self.redis {
            Some(redis) => {
                let keys = self.keys.ok_or_else(|| Error::Config(self.layout.missing_secret().to_owned()))?;
                SessionManagerBuilder::new(
                    redis::store(redis, self.prefix, self.fallback, &self.layout, &self.cookie).await?,
                    keys,
                )
            }
            None => {
                let store = in_memory()?;
                tracing::warn!("no Redis is in use: sessions are kept in memory and end with this process");
                let keys = self.keys.unwrap_or_else(|| {
                    tracing::warn!("SESSION_SECRET is not set: cookies are signed with a random key");
                    KeyRing::generate()
                });
                SessionManagerBuilder::new(store, keys)
            }
        };
        let mut builder = self.at_rest.apply(builder.expiry(self.expiry).cookie(self.cookie));
        if let Some(OwnerLimit { sessions, evict }) = self.owner_limit {
            builder = builder.max_sessions_per_owner(sessions, evict);
        }
        if let Some(bounds) = self.history {
            builder = builder.history(bounds);
        }
        Ok(builder)
    }
}

type Store = Arc<dyn SessionStore>;

#[cfg(feature = "memory")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it is an error")]
fn in_memory() -> Result<Store, Error> {
    Ok(Arc::new(crate::MemoryStore::new()))
}

#[cfg(not(feature = "memory"))]
fn in_memory() -> Result<Store, Error> {
    Err(Error::Config(
        "no Redis is in use, and session-store was built without its feature `memory`: set \
         REDIS_URL=redis://host:6379/0, or add the feature in Cargo.toml"
            .to_owned(),
    ))
}

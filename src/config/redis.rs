//! The variables about Redis, put together to a [`Target`].

mod near_cache;
#[cfg(test)]
mod tests;
mod tuning;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::near_cache::CopySettings;
use self::tuning::Tuning;
use super::environment::{Environment, wrong};
use super::layout::Layout;
use super::servers::Servers;
use super::{Fallback, Settings, Store};
use crate::cookie::SessionCookie;
use crate::error::Error;
#[cfg(feature = "memory")]
use crate::store::fallback::{FallbackPolicy, FallbackStore};
use crate::store::redis::target::{self, Host, Target};
use crate::store::redis::url::{self, Draft, Password, REDIS_PORT, SENTINEL_PORT, Setting};
use crate::store::redis::{RedisStore, RedisStoreBuilder};

const DEFAULT_MASTER: &str = "mymaster";
/// Variables of other libraries whose meaning is one of ours: without a word, `REDIS_SSL=true` would
/// be plaintext.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("REDIS_SSL", "REDIS_TLS"),
    ("REDIS_USER", "REDIS_USERNAME"),
    ("REDIS_PASS", "REDIS_PASSWORD"),
    ("REDIS_DATABASE", "REDIS_DB"),
];

/// What the variables say about Redis.
#[derive(Debug)]
pub(super) struct RedisSettings {
    target: Target,
    tuning: Tuning,
    copies: CopySettings,
}

impl RedisSettings {
    /// Besides, a warning for what is set without effect.
    pub(super) fn read(
        environment: &Environment<'_>,
        servers: Servers,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let target = target(environment, servers, warnings)?;
        let tuning = Tuning::read(environment, warnings)?;
        Ok(Self { target, tuning, copies: CopySettings::read(environment, warnings)? })
    }
}

/// Whom to connect to.
fn target(
    environment: &Environment<'_>,
    servers: Servers,
    warnings: &mut Vec<String>,
) -> Result<Target, Error> {
    let mut draft = named(environment, servers)?;
    warn_of_ignored(environment, servers, &draft.servers, warnings)?;
    fill_in(environment, servers, &mut draft, warnings)?;
    draft.into_target().map_err(|why| contradiction(servers, &why))
}

/// Any two of the URL and the variables beside it may be the ones that do not go together.
fn contradiction(servers: Servers, why: &str) -> Error {
    let holder = if servers == Servers::Url { "REDIS_URL and the variables beside it: " } else { "" };
    Error::Config(format!("{holder}{why}"))
}

/// The servers, and whatever else a URL says.
fn named(environment: &Environment<'_>, servers: Servers) -> Result<Draft, Error> {
    let name = servers.variable();
    let list = |text: &str, port| {
        url::hosts(text, port).map_err(|why| {
            Error::Config(format!(
                "{name} cannot be used: {why}; it looks like host:{port},host:{port}, and credentials go into \
                 variables of their own"
            ))
        })
    };
    let text = environment.text(name)?.unwrap_or_default();
    let topology = match servers {
        Servers::Url => return Draft::from_url(&text).map_err(|fault| fault.of(name)),
        Servers::Cluster => target::Servers::Cluster(list(&text, REDIS_PORT)?),
        Servers::Sentinels => {
            let sentinels = list(&text, SENTINEL_PORT)?;
            let master = environment.text("REDIS_SENTINEL_MASTER")?;
            target::Servers::Sentinel {
                sentinels,
                master: master.unwrap_or_else(|| DEFAULT_MASTER.to_owned()),
            }
        }
        Servers::Host => target::Servers::One(one_host(environment, &text)?),
    };
    Ok(Draft::new(topology))
}

fn one_host(environment: &Environment<'_>, text: &str) -> Result<Host, Error> {
    let unusable = |why: &str| {
        Error::Config(format!("REDIS_HOST cannot be used: {why}; it looks like redis.example.com"))
    };
    let bracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = bracketed.filter(|address| address.parse::<Ipv6Addr>().is_ok()).unwrap_or(text);
    if address.parse::<IpAddr>().is_err() {
        if text.contains("://") || text.starts_with('/') {
            return Err(unusable(
                "a URL goes into REDIS_URL, and so does a socket, as unix:///path/to/socket",
            ));
        }
        if text.contains(',') {
            return Err(unusable("several hosts go into REDIS_CLUSTER_NODES or REDIS_SENTINELS"));
        }
        if text.contains('@') {
            return Err(unusable("credentials go into REDIS_USERNAME and REDIS_PASSWORD"));
        }
        if text.contains(':') {
            return Err(unusable("a port goes into REDIS_PORT"));
        }
    }
    let name = url::host_name(address).map_err(|why| unusable(&why))?;
    let port = match environment.text("REDIS_PORT")? {
        None => REDIS_PORT,
        Some(text) => url::port(&text)
            .ok_or_else(|| wrong("REDIS_PORT", &text, "give a port from 1 to 65535, such as `6379`"))?,
    };
    Ok(Host { name, port })
}

/// Those that name servers, too, but are of lower precedence, and those of another topology.
fn warn_of_ignored(
    environment: &Environment<'_>,
    servers: Servers,
    topology: &target::Servers,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    const RANKED: [&str; 5] =
        ["REDIS_CLUSTER_NODES", "REDIS_SENTINELS", "REDIS_SENTINEL_MASTER", "REDIS_HOST", "REDIS_PORT"];
    const OF_SENTINELS: [&str; 3] =
        ["REDIS_SENTINEL_USERNAME", "REDIS_SENTINEL_PASSWORD", "REDIS_SENTINEL_PASSWORD_FILE"];
    let below = match servers {
        Servers::Url => &RANKED[..],
        Servers::Cluster => &RANKED[1..],
        Servers::Sentinels => &RANKED[3..],
        Servers::Host => &[],
    };
    let elsewhere =
        if matches!(topology, target::Servers::Sentinel { .. }) { &OF_SENTINELS[..0] } else { &OF_SENTINELS };
    for name in below.iter().chain(elsewhere) {
        if environment.is_set(name)? {
            warnings.push(format!("{name} has no effect: {} names the servers", servers.variable()));
        }
    }
    for (other, ours) in OTHER_NAMES {
        if environment.is_set(other)? && !environment.is_set(ours)? {
            warnings.push(format!("{other} is not read: its name here is {ours}"));
        }
    }
    Ok(())
}

/// What the URL leaves out.
fn fill_in(
    environment: &Environment<'_>,
    servers: Servers,
    draft: &mut Draft,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let sentinels = matches!(draft.servers, target::Servers::Sentinel { .. });
    if let Some((password, name)) = password(environment, "REDIS_PASSWORD", "REDIS_PASSWORD_FILE")? {
        refuse_if_the_other_may_be_a_user(draft, &password, name)?;
        fill(&mut draft.password, password, name, warnings);
    }
    if sentinels {
        let password = password(environment, "REDIS_SENTINEL_PASSWORD", "REDIS_SENTINEL_PASSWORD_FILE")?;
        if let Some((password, name)) = password {
            fill(&mut draft.sentinel_password, password, name, warnings);
        }
        if let Some(name) = environment.text("REDIS_SENTINEL_USERNAME")? {
            fill(&mut draft.sentinel_username, name, "REDIS_SENTINEL_USERNAME", warnings);
        }
    }
    if let Some(name) = environment.text("REDIS_USERNAME")? {
        fill(&mut draft.username, name, "REDIS_USERNAME", warnings);
    }
    if let Some(text) = environment.text("REDIS_DB")? {
        let number = url::database(&text)
            .ok_or_else(|| wrong("REDIS_DB", &text, "give the number of a database, such as `0`"))?;
        fill(&mut draft.database, number, "REDIS_DB", warnings);
    }
    for (setting, name) in [
        (&mut draft.authorities, "REDIS_TLS_CACERT"),
        (&mut draft.certificate, "REDIS_TLS_CERT"),
        (&mut draft.key, "REDIS_TLS_KEY"),
    ] {
        if let Some(path) = environment.text(name)? {
            fill(setting, PathBuf::from(path), name, warnings);
        }
    }
    // Whichever is meant, the other would be less safe than somebody thinks.
    for (setting, name) in [(&mut draft.tls, "REDIS_TLS"), (&mut draft.insecure, "REDIS_TLS_INSECURE")] {
        if let Some(flag) = environment.flag(name)? {
            setting.say(flag, name).map_err(|why| contradiction(servers, &why))?;
        }
    }
    Ok(())
}

fn fill<T: PartialEq>(setting: &mut Setting<T>, value: T, name: &'static str, warnings: &mut Vec<String>) {
    if let Some(by) = setting.fill(value, name) {
        warnings.push(format!("{name} has no effect: REDIS_URL overrides it, by {by}"));
    }
}

/// The password that one of two variables gives, and the name of that one.
fn password(
    environment: &Environment<'_>,
    name: &'static str,
    file_name: &'static str,
) -> Result<Option<(Password, &'static str)>, Error> {
    match (secret(environment, name)?, environment.text(file_name)?) {
        (Some(_), Some(_)) => {
            Err(Error::Config(format!("{name} and {file_name} are both set: leave one of them out")))
        }
        (Some(text), None) => Ok(Some((Password::Text(text), name))),
        (None, Some(path)) => {
            // A wrong path should not have to wait for somebody to read the log of attempts to connect.
            url::read_password(Path::new(&path))
                .map_err(|why| Error::Config(format!("{file_name} cannot be used: {why}")))?;
            Ok(Some((Password::File(PathBuf::from(path)), file_name)))
        }
        (None, None) => Ok(None),
    }
}

/// What a URL has before its `@` without a colon is a password, but may be meant as a user where there is
/// another password.
fn refuse_if_the_other_may_be_a_user(
    draft: &Draft,
    password: &Password,
    name: &'static str,
) -> Result<(), Error> {
    if draft.password.by() != Some(url::WITHOUT_COLON)
        || draft.password.clone().fill(password.clone(), name).is_none()
    {
        return Ok(());
    }
    Err(Error::Config(format!(
        "REDIS_URL and {name} give different passwords: {} has no colon, so it is a password; a user is written \
         redis://user:@host",
        url::WITHOUT_COLON
    )))
}

/// A password in a variable. One that ends with a line break was made by `echo`, and would be refused by
/// Redis with nothing to see.
fn secret(environment: &Environment<'_>, name: &str) -> Result<Option<String>, Error> {
    let text = environment.text(name)?;
    if text.as_ref().is_some_and(|text| text.contains(['\r', '\n'])) {
        return Err(Error::Config(format!(
            "{name} has a line break in it: write the secret with `printf %s` rather than `echo`"
        )));
    }
    Ok(text)
}

impl RedisStoreBuilder {
    /// Makes a builder for the store that the environment names, with its layout, prefix and timeouts: the store that
    /// [`SessionManager::from_env`](crate::SessionManager::from_env) makes of the same variables, for a program that
    /// needs the store itself. `None` if no variable names a Redis server, or memory is asked for.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), session_store::Error> {
    /// use session_store::{KeyRing, RedisStoreBuilder, SessionManager};
    /// use std::sync::Arc;
    ///
    /// let Some(builder) = RedisStoreBuilder::from_env()? else { panic!("set REDIS_URL") };
    /// let store = Arc::new(builder.connect().await?);
    /// let manager = SessionManager::<u32>::builder(Arc::clone(&store), KeyRing::generate()).build()?;
    /// println!("{} servers", store.servers().await?.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] names the wrong variable. A warning is logged for variables that have no effect.
    pub fn from_env() -> Result<Option<Self>, Error> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// Makes a builder as [`from_env`](Self::from_env) does, with variables from elsewhere: a test, or a file of settings.
    ///
    /// ```
    /// use session_store::RedisStoreBuilder;
    ///
    /// let lookup = |name: &str| match name {
    ///     "REDIS_URL" => Some("redis://redis.internal".into()),
    ///     "SESSION_PREFIX" => Some("shop:".into()),
    ///     _ => None,
    /// };
    /// assert!(RedisStoreBuilder::from_variables(lookup)?.is_some());
    /// assert!(RedisStoreBuilder::from_variables(|_| None)?.is_none());
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, Error> {
        let settings = Settings::read(&Environment::new(&lookup))?;
        settings.warn();
        let Settings { redis, prefix, layout, cookie, .. } = settings;
        redis.map(|redis| builder(redis, prefix, &layout, &cookie)).transpose()
    }
}

fn builder(
    settings: RedisSettings,
    prefix: Option<String>,
    layout: &Layout,
    cookie: &SessionCookie,
) -> Result<RedisStoreBuilder, Error> {
    let redis = settings.tuning.apply(RedisStoreBuilder::from_target(settings.target));
    let redis = settings.copies.apply(redis)?;
    Ok(layout.apply(if let Some(prefix) = prefix { redis.prefix(prefix) } else { redis }, cookie))
}

/// The store that the variables ask for.
pub(super) async fn store(
    settings: RedisSettings,
    prefix: Option<String>,
    fallback: Fallback,
    layout: &Layout,
    cookie: &SessionCookie,
) -> Result<Store, Error> {
    with_fallback(builder(settings, prefix, layout, cookie)?, fallback).await
}

async fn with_fallback(redis: RedisStoreBuilder, fallback: Fallback) -> Result<Store, Error> {
    Ok(match fallback {
        Fallback::Never => Arc::new(redis.connect().await?),
        Fallback::AtStart | Fallback::WhileDown => {
            beside_memory(redis.connect_eventually().await?, fallback)?
        }
    })
}

#[cfg(feature = "memory")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it is an error")]
fn beside_memory(redis: RedisStore, fallback: Fallback) -> Result<Store, Error> {
    let policy = match fallback {
        Fallback::Never => FallbackPolicy::Never,
        Fallback::AtStart => FallbackPolicy::AtStart,
        Fallback::WhileDown => FallbackPolicy::WhileDown,
    };
    Ok(Arc::new(FallbackStore::new(redis, policy)))
}

#[cfg(not(feature = "memory"))]
fn beside_memory(_: RedisStore, _: Fallback) -> Result<Store, Error> {
    Err(Error::Config(
        "SESSION_FALLBACK is set, but session-store was built without its feature `memory`: add it in Cargo.toml"
            .to_owned(),
    ))
}

//! Which variable names the Redis servers, if any.

use super::environment::Environment;
use crate::error::Error;

/// What names the servers, in the order of precedence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Servers {
    Url,
    Cluster,
    Sentinels,
    Host,
}

/// What says something about a server without naming one. To ignore them would silently keep
/// sessions in memory.
const ABOUT_SERVERS: [&str; 16] = [
    "REDIS_PORT",
    "REDIS_USERNAME",
    "REDIS_PASSWORD",
    "REDIS_PASSWORD_FILE",
    "REDIS_DB",
    "REDIS_TLS",
    "REDIS_TLS_CACERT",
    "REDIS_TLS_CERT",
    "REDIS_TLS_KEY",
    "REDIS_TLS_INSECURE",
    "REDIS_TIMEOUT",
    "REDIS_CONNECTIONS",
    "REDIS_WAIT_REPLICAS",
    "REDIS_WAIT_TIMEOUT",
    "REDIS_ENABLED",
    "SESSION_FALLBACK",
];
/// The same, of sentinels.
const ABOUT_SENTINELS: [&str; 4] = [
    "REDIS_SENTINEL_MASTER",
    "REDIS_SENTINEL_USERNAME",
    "REDIS_SENTINEL_PASSWORD",
    "REDIS_SENTINEL_PASSWORD_FILE",
];

impl Servers {
    /// `None` if nothing names a server, or memory is asked for.
    pub(super) fn read(environment: &Environment<'_>) -> Result<Option<Self>, Error> {
        if environment.flag("REDIS_ENABLED")? == Some(false) {
            return Ok(None);
        }
        if let Some(url) = environment.text("REDIS_URL")? {
            return Ok((!matches!(&*url, "memory:" | "memory://")).then_some(Self::Url));
        }
        for servers in [Self::Cluster, Self::Sentinels] {
            if environment.is_set(servers.variable())? {
                return Ok(Some(servers));
            }
        }
        // Before the host: that may well be a sentinel.
        for name in ABOUT_SENTINELS {
            if environment.is_set(name)? {
                return Err(Error::Config(format!(
                    "{name} is set, but no sentinels: set REDIS_SENTINELS=host:26379,host:26379"
                )));
            }
        }
        if environment.is_set("REDIS_HOST")? {
            return Ok(Some(Self::Host));
        }
        for name in ABOUT_SERVERS {
            if environment.is_set(name)? {
                return Err(Error::Config(format!(
                    "{name} is set, but no server: set REDIS_URL=redis://host:6379/0 or REDIS_HOST=host, or \
                     REDIS_ENABLED=false for memory"
                )));
            }
        }
        Ok(None)
    }

    /// The variable that names the servers.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Url => "REDIS_URL",
            Self::Cluster => "REDIS_CLUSTER_NODES",
            Self::Sentinels => "REDIS_SENTINELS",
            Self::Host => "REDIS_HOST",
        }
    }
}

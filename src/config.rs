//! Settings from the environment.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use crate::cookie::SessionCookie;
use crate::cookie::signing::KeyRing;
use crate::error::Error;
use crate::expiry::Expiry;
use crate::manager::{SessionManager, SessionManagerBuilder};
use crate::session::SessionData;
use crate::store::SessionStore;

/// Variables of other libraries that name a server in parts. Ignoring them would silently keep
/// sessions in memory.
const NOT_READ: [&str; 4] = ["REDIS_HOST", "REDIS_CLUSTER_NODES", "REDIS_SENTINELS", "REDIS_SENTINEL_MASTER"];
const NEED_SECRET: &str = "SESSION_SECRET is not set: sessions in Redis outlive this process, so the keys of \
                           their cookies must too; make one with `openssl rand -base64 48`";

impl<T: SessionData> SessionManager<T> {
    /// A builder with the store, the keys, the cookie and the expiry that the environment names:
    /// Redis if `REDIS_URL` is set, else memory, with a warning that sessions end with the process.
    ///
    /// | variable | meaning | default | example |
    /// |---|---|---|---|
    /// | `REDIS_URL` | the Redis server that keeps the sessions | memory | `redis://localhost:6379/0` |
    /// | `REDIS_ENABLED` | `false`: memory, whatever `REDIS_URL` says | `true` | `false` |
    /// | `SESSION_SECRET` | comma-separated secrets of at least 32 bytes: the first signs, all verify | needed with Redis; random in memory | what `openssl rand -base64 48` prints |
    /// | `SESSION_TTL` | how long a session lives without use | `24h` | `30m`, `7d`, `3600` (seconds) |
    /// | `SESSION_ABSOLUTE_TTL` | how long it lives at most after its sign-in | `30d`, or `SESSION_TTL` if that is longer | `12h` |
    /// | `SESSION_PREFIX` | what this application's keys in Redis begin with | `session:` | `shop:` |
    /// | `SESSION_COOKIE_NAME` | the cookie's name | `__Host-id`, or `id` where not secure | `sid` |
    /// | `SESSION_COOKIE_SECURE` | `false`: the cookie travels over plain http, for development | `true` | `false` |
    ///
    /// A variable that is set to nothing counts as not set.
    ///
    /// What is set on the builder afterwards takes precedence, as a whole: a `.cookie(…)` replaces the
    /// name and the `Secure` that the environment gave, an `.expiry(…)` both timeouts.
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
    /// # Errors
    ///
    /// [`Error::Config`] names the variable that is wrong, what is wrong with it and a right
    /// example, never a secret; and whatever connecting to Redis answers.
    pub async fn from_env() -> Result<SessionManagerBuilder<T>, Error> {
        let settings = Settings::read(|name| std::env::var_os(name))?;
        settings.builder().await
    }
}

/// What the environment says.
#[derive(Debug)]
struct Settings {
    redis: Option<RedisUrl>,
    keys: Option<KeyRing>,
    expiry: Expiry,
    prefix: Option<String>,
    cookie: SessionCookie,
}

/// A URL that may hold a password, so `Debug` doesn't show it.
struct RedisUrl(String);

impl std::fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisUrl(..)")
    }
}

impl Settings {
    fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let text = |name: &str| match lookup(name).map(OsString::into_string) {
            Some(Ok(text)) if text.is_empty() => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(Error::Config(format!("{name} is not text (UTF-8)"))),
            None => Ok(None),
        };
        let flag = |name: &str| match text(name)?.as_deref() {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(Error::Config(format!("{name} is {other:?}: give `true` or `false`"))),
        };
        let duration = |name: &str| text(name)?.map(|text| parse_duration(name, &text)).transpose();

        let redis_enabled = flag("REDIS_ENABLED")?.unwrap_or(true);
        let redis = text("REDIS_URL")?.filter(|_| redis_enabled).map(RedisUrl);
        if redis.is_none() && redis_enabled {
            for name in NOT_READ {
                if text(name)?.is_some() {
                    return Err(Error::Config(format!(
                        "{name} is set, but the server is read from REDIS_URL: \
                         set REDIS_URL=redis://host:6379/0, or REDIS_ENABLED=false for memory"
                    )));
                }
            }
        }

        if redis.is_some() && flag("REDIS_TLS")? == Some(true) {
            return Err(Error::Config(
                "REDIS_TLS is true, which this version of session-store cannot do; it does not fall back to \
                 plaintext: unset it and use a tunnel or a private network"
                    .to_owned(),
            ));
        }

        let mut expiry = Expiry::default();
        if let Some(idle) = duration("SESSION_TTL")? {
            let absolute = expiry.absolute_timeout().unwrap_or_default().max(idle);
            expiry = Expiry::idle(idle).absolute(absolute);
        }
        if let Some(absolute) = duration("SESSION_ABSOLUTE_TTL")? {
            expiry = expiry.absolute(absolute);
        }

        let mut cookie = SessionCookie::new();
        if let Some(name) = text("SESSION_COOKIE_NAME")? {
            cookie = cookie.name(name);
        }
        if let Some(secure) = flag("SESSION_COOKIE_SECURE")? {
            cookie = cookie.secure(secure);
        }

        let keys = text("SESSION_SECRET")?
            .map(|secrets| KeyRing::parse(&secrets))
            .transpose()
            .map_err(|error| Error::Config(format!("SESSION_SECRET: {error}")))?;
        Ok(Self { redis, keys, expiry, prefix: text("SESSION_PREFIX")?, cookie })
    }

    async fn builder<T: SessionData>(self) -> Result<SessionManagerBuilder<T>, Error> {
        let builder = match self.redis {
            Some(url) => {
                let keys = self.keys.ok_or_else(|| Error::Config(NEED_SECRET.to_owned()))?;
                SessionManagerBuilder::new(in_redis(url, self.prefix).await?, keys)
            }
            None => {
                let store = in_memory()?;
                tracing::warn!(
                    "REDIS_URL is not in use: sessions are kept in memory and end with this process"
                );
                let keys = self.keys.unwrap_or_else(|| {
                    tracing::warn!("SESSION_SECRET is not set: cookies are signed with a random key");
                    KeyRing::generate()
                });
                SessionManagerBuilder::new(store, keys)
            }
        };
        Ok(builder.expiry(self.expiry).cookie(self.cookie))
    }
}

type Store = Arc<dyn SessionStore>;

#[cfg(feature = "redis")]
async fn in_redis(url: RedisUrl, prefix: Option<String>) -> Result<Store, Error> {
    let mut store = crate::RedisStore::builder(url.0);
    if let Some(prefix) = prefix {
        store = store.prefix(prefix);
    }
    Ok(Arc::new(store.connect().await?))
}

#[cfg(not(feature = "redis"))]
fn in_redis(url: RedisUrl, _: Option<String>) -> std::future::Ready<Result<Store, Error>> {
    drop(url.0);
    std::future::ready(Err(Error::Config(
        "REDIS_URL is set, but session-store was built without its feature `redis`: \
         add it in Cargo.toml, or set REDIS_ENABLED=false for memory"
            .to_owned(),
    )))
}

#[cfg(feature = "memory")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it is an error")]
fn in_memory() -> Result<Store, Error> {
    Ok(Arc::new(crate::MemoryStore::new()))
}

#[cfg(not(feature = "memory"))]
fn in_memory() -> Result<Store, Error> {
    Err(Error::Config(
        "REDIS_URL is not in use, and session-store was built without its feature `memory`: \
         set REDIS_URL=redis://host:6379/0, or add the feature in Cargo.toml"
            .to_owned(),
    ))
}

/// A positive whole number of seconds, or of what its unit says.
fn parse_duration(name: &str, text: &str) -> Result<Duration, Error> {
    let (number, unit) = match text.bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 60 * 60),
        Some(b'd') => (&text[..text.len() - 1], 24 * 60 * 60),
        _ => (text, 1),
    };
    let seconds = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    match seconds {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::Config(format!(
            "{name} is {text:?}: give a positive duration such as `30m`, `24h`, `7d`, or seconds"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn read(vars: &[(&str, &str)]) -> Result<Settings, Error> {
        let vars: HashMap<_, _> = vars.iter().copied().collect();
        Settings::read(|name| vars.get(name).map(OsString::from))
    }

    fn fault(vars: &[(&str, &str)]) -> String {
        read(vars).unwrap_err().to_string()
    }

    const fn hours(n: u64) -> Duration {
        Duration::from_secs(n * 3600)
    }

    #[test]
    fn nothing_set_means_the_documented_defaults() {
        for vars in [&[][..], &[("REDIS_URL", ""), ("SESSION_SECRET", ""), ("SESSION_TTL", "")]] {
            let settings = read(vars).unwrap();
            assert!(settings.redis.is_none() && settings.keys.is_none());
            assert_eq!(settings.expiry, Expiry::idle(hours(24)).absolute(hours(30 * 24)));
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, expected) in [
            ("3600", hours(1)),
            ("60m", hours(1)),
            ("24h", hours(24)),
            ("7d", hours(168)),
            ("1s", Duration::from_secs(1)),
        ] {
            let settings = read(&[("SESSION_TTL", text)]).unwrap();
            assert_eq!(settings.expiry.idle_timeout(), Some(expected), "{text}");
        }
        for text in ["0", "-1", "-1h", "h", "1.5h", "1w", "99999999999999999999", "18446744073709551615d"] {
            let message = fault(&[("SESSION_TTL", text)]);
            assert!(message.contains("SESSION_TTL") && message.contains("`24h`"), "{message}");
        }
    }

    #[test]
    fn a_long_idle_timeout_lifts_the_default_absolute_one_only() {
        let long = read(&[("SESSION_TTL", "90d")]).unwrap();
        assert_eq!(long.expiry.absolute_timeout(), Some(hours(90 * 24)));
        let both = read(&[("SESSION_TTL", "90d"), ("SESSION_ABSOLUTE_TTL", "12h")]).unwrap();
        assert_eq!(both.expiry.absolute_timeout(), Some(hours(12)));
    }

    #[test]
    fn redis_can_be_switched_off() {
        let url = ("REDIS_URL", "redis://:hunter2@localhost");
        assert!(read(&[url]).unwrap().redis.is_some());
        assert!(read(&[url, ("REDIS_ENABLED", "false")]).unwrap().redis.is_none());
        assert!(fault(&[url, ("REDIS_ENABLED", "no")]).contains("`true` or `false`"));
        assert!(!format!("{:?}", read(&[url]).unwrap()).contains("hunter2"));
    }

    #[test]
    fn tls_is_not_silently_plaintext() {
        let url = ("REDIS_URL", "redis://localhost");
        assert!(fault(&[url, ("REDIS_TLS", "true")]).contains("plaintext"));
        assert!(read(&[url, ("REDIS_TLS", "false")]).is_ok());
    }

    #[test]
    fn a_server_named_in_parts_is_not_silently_replaced_by_memory() {
        assert!(fault(&[("REDIS_HOST", "db")]).contains("REDIS_URL=redis://"));
        assert!(read(&[("REDIS_HOST", "db"), ("REDIS_ENABLED", "false")]).is_ok());
        assert!(read(&[("REDIS_HOST", "db"), ("REDIS_URL", "redis://db")]).is_ok());
    }

    #[test]
    fn a_bad_secret_gets_advice_and_stays_secret() {
        let message = fault(&[("SESSION_SECRET", "hunter2")]);
        assert!(message.contains("SESSION_SECRET") && message.contains("openssl rand"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        let two = format!("{SECRET},{SECRET}");
        assert!(read(&[("SESSION_SECRET", &two)]).unwrap().keys.is_some());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_text_is_said_to_be_so() {
        use std::os::unix::ffi::OsStringExt as _;
        let error = Settings::read(|_| Some(OsString::from_vec(vec![0xff]))).unwrap_err();
        assert!(error.to_string().contains("not text"), "{error}");
    }

    #[tokio::test]
    async fn redis_without_a_secret_is_refused_before_connecting() {
        let settings = read(&[("REDIS_URL", "redis://127.0.0.1:1")]).unwrap();
        let message = settings.builder::<u32>().await.unwrap_err().to_string();
        assert!(message.contains("openssl rand"), "{message}");
    }
}

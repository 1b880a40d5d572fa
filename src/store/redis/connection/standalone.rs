//! One Redis server, by URL.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo as _, ProtocolVersion, PushInfo, PushKind, RedisResult,
};

use super::{Connection, Connector, OnLoss};
use crate::error::Error;

/// An idle connection is probed after this long, so that one whose peer is gone is noticed before
/// a request needs it.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long the kernel waits for the peer to acknowledge what was sent, where it can be told.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = Duration::from_secs(5);

pub(in crate::store::redis) struct Standalone {
    client: Client,
}

impl Standalone {
    /// # Errors
    ///
    /// [`Error::Config`], which never quotes the URL: it may hold a password.
    pub(in crate::store::redis) fn new(url: &str) -> Result<Self, Error> {
        let url = redis::parse_redis_url(url).ok_or_else(|| unusable("it is none"))?;
        if matches!(url.scheme(), "rediss" | "valkeys") {
            return Err(no_tls(&format!("{}://", url.scheme())));
        }
        if url.fragment().is_some() {
            return Err(unusable("a `#` in a password is written %23"));
        }
        // redis-rs ignores parameters that it does not know: `?tls=true` would mean plaintext.
        let is_tcp = matches!(url.scheme(), "redis" | "valkey");
        let known: &[&str] = if is_tcp { &[] } else { &["db", "user", "pass"] };
        for (name, value) in url.query_pairs() {
            match &*name {
                "tls" | "ssl" if value == "false" => {}
                "tls" | "ssl" => return Err(no_tls(&name)),
                "protocol" if matches!(&*value, "3" | "resp3") => {}
                name if known.contains(&name) => {}
                // The URL's parser takes a `?` in a password for the end of the host.
                _ if is_tcp && url.query().is_some_and(|query| query.contains('@')) => {
                    return Err(unusable("a `?` in a password is written %3F"));
                }
                name => return Err(unusable(&format!("it has no parameter `{name}`"))),
            }
        }
        let info = url.into_connection_info().map_err(|error| unusable(&error.to_string()))?;
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(redis).set_tcp_settings(tcp_settings());
        let client = Client::open(info).map_err(|error| unusable(&error.to_string()))?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Connector for Standalone {
    async fn connect(&self, on_loss: OnLoss) -> RedisResult<Connection> {
        let on_push = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                on_loss();
            }
            Ok::<(), ()>(())
        };
        // Both of the client's timeouts are off: the supervisor's bound more than they do.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(on_push);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

impl fmt::Display for Standalone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.get_connection_info().addr().fmt(f)
    }
}

fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let settings = settings.set_user_timeout(USER_TIMEOUT);
    settings
}

fn unusable(why: &str) -> Error {
    Error::Config(format!(
        "the Redis URL cannot be used: {why}; it looks like redis://[[user]:password@]host[:port][/database]"
    ))
}

fn no_tls(asked_by: &str) -> Error {
    Error::Config(format!(
        "the Redis URL asks for TLS (`{asked_by}`), which this version of session-store cannot do; it does \
         not fall back to plaintext: use redis:// through a tunnel or a private network"
    ))
}

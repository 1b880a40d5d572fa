//! One attempt to connect to one address, with TLS and credentials.

use std::fmt;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use redis::aio::AsyncPushSender;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{
    AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::select;
use tokio::time::sleep;

use super::Failure;
use super::link::{self, Link};
#[cfg(feature = "tls")]
use super::tls;
use crate::error::Error;
use crate::store::redis::failure::NO_TLS;
use crate::store::redis::target::{Host, Login, Tls};

/// So many operations may be on their way to the driver before others wait for a place.
const QUEUE_LENGTH: usize = 1024;
/// An idle connection is probed after this long, so that one whose peer is gone is noticed before
/// a request needs it.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long the kernel waits for the peer to acknowledge what was sent, where it can be told.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// After this long it is found out whether the server speaks TLS at all.
const SLOW_HANDSHAKE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub(super) struct Dialer {
    login: Login,
    database: u32,
    tls: Option<Tls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::redis) enum Address {
    Host(Host),
    Socket(PathBuf),
}

impl Dialer {
    /// # Errors
    ///
    /// [`Error::Config`] for TLS that this build can't do, and for certificates and keys that can't
    /// be read.
    pub(super) fn new(login: Login, database: u32, tls: Option<Tls>) -> Result<Self, Error> {
        if let Some(tls) = &tls {
            tls::check(tls)?;
        }
        Ok(Self { login, database, tls })
    }

    /// Whoever calls bounds the time: the client's own timeouts are off.
    ///
    /// News that the server closes the connection goes to `pushes`, as whatever else it sends
    /// unasked.
    pub(super) async fn dial(
        &self,
        address: &Address,
        pushes: impl AsyncPushSender,
    ) -> Result<Link, Failure> {
        let (Some(_), Address::Host(host)) = (&self.tls, address) else {
            let link = self.try_to_dial(address, pushes).await;
            return link.map_err(|error| Failure::from(error).of_greeting(false));
        };
        select! {
            biased;
            link = self.try_to_dial(address, pushes) => {
                link.map_err(|error| Failure::from(error).of_greeting(true))
            }
            () = answers_in_plaintext(host) => Err(Failure::Unfit(NO_TLS)),
        }
    }

    async fn try_to_dial(&self, address: &Address, pushes: impl AsyncPushSender) -> RedisResult<Link> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE_LENGTH)
            .set_push_sender(pushes);
        let greeting = self.greeting()?;
        match (&self.tls, address) {
            (None, Address::Host(host)) => {
                let stream = link::connect(host, &tcp_settings()).await?;
                Link::over(stream, &greeting, config).await
            }
            (Some(tls), Address::Host(host)) => {
                let stream = link::connect(host, &tcp_settings()).await?;
                Link::over(tls::over(stream, host, tls).await?, &greeting, config).await
            }
            #[cfg(unix)]
            (_, Address::Socket(path)) => {
                Link::over(UnixStream::connect(path).await?, &greeting, config).await
            }
            #[cfg(not(unix))]
            (_, Address::Socket(_)) => {
                Err((ErrorKind::InvalidClientConfig, "Unix sockets are not available on this platform")
                    .into())
            }
        }
    }

    /// The same for a few questions, where it doesn't matter how the connection ends.
    pub(super) async fn dial_briefly(&self, address: &Address) -> Result<Link, Failure> {
        self.dial(address, |_| Ok::<(), ()>(())).await
    }

    /// What the connection begins with.
    fn greeting(&self) -> RedisResult<RedisConnectionInfo> {
        let credentials = self.login.now().map_err(|error| {
            RedisError::from((ErrorKind::InvalidClientConfig, "no credentials for Redis", error.to_string()))
        })?;
        let mut greeting = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(i64::from(self.database));
        if let Some(username) = credentials.username {
            greeting = greeting.set_username(username);
        }
        if let Some(password) = credentials.password {
            greeting = greeting.set_password(password);
        }
        Ok(greeting)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// Returns if it does. A server without TLS takes the first bytes of a handshake for the beginning of a
/// command, and waits for the rest; so it is asked for a word, on a connection of its own.
async fn answers_in_plaintext(host: &Host) {
    sleep(SLOW_HANDSHAKE).await;
    let answer = async {
        let mut stream = link::connect(host, &tcp_settings()).await?;
        stream.write_all(b"PING\r\n").await?;
        stream.read_u8().await
    };
    // PONG, or an error such as NOAUTH.
    if !matches!(answer.await, Ok(b'+' | b'-')) {
        pending::<()>().await;
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

#[cfg(not(feature = "tls"))]
mod tls {
    use tokio::net::TcpStream;

    use super::{Error, Host, RedisResult, Tls};

    pub(super) fn check(_: &Tls) -> Result<(), Error> {
        Err(Error::Config(
            "TLS with Redis needs the feature `tls` of session-store: add it in Cargo.toml; it does not fall \
             back to plaintext"
                .to_owned(),
        ))
    }

    #[expect(clippy::unused_async, reason = "the other one shakes hands")]
    pub(super) async fn over(_: TcpStream, _: &Host, _: &Tls) -> RedisResult<TcpStream> {
        unreachable!("a Dialer without TLS has none")
    }
}

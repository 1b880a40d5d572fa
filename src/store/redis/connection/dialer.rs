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
            secure::check(tls)?;
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
            #[cfg(unix)]
            (_, Address::Socket(path)) => {
                Link::over(UnixStream::connect(path).await?, &greeting, config).await
            }
            #[cfg(not(unix))]
            (_, Address::Socket(_)) => {
                Err((ErrorKind::InvalidClientConfig, "Unix sockets are not to be had on this platform")
                    .into())
            }
            (Some(tls), Address::Host(host)) => {
                let client = secure::client(greeting, host, tls)?;
                Ok(Link::of(client.get_multiplexed_async_connection_with_config(&config).await?))
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

#[cfg(feature = "tls")]
mod secure {
    use std::fs;

    use redis::{Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _, TlsCertificates};
    use rustls::crypto::{CryptoProvider, ring};

    use super::{Error, ErrorKind, Host, RedisConnectionInfo, RedisError, RedisResult, Tls, tcp_settings};
    use crate::store::redis::target::{ClientCertificate, Pem};

    /// Tries out on nobody what each attempt to connect will do.
    pub(super) fn check(tls: &Tls) -> Result<(), Error> {
        // Without one, or with two to choose from, rustls panics. Who wants another installs it
        // before, in `main`.
        if CryptoProvider::get_default().is_none() {
            let _ = ring::default_provider().install_default();
        }
        let nobody = Host { name: "localhost".to_owned(), port: 0 };
        match client(RedisConnectionInfo::default(), &nobody, tls) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Config(format!("TLS with Redis: {error}"))),
        }
    }

    pub(super) fn client(greeting: RedisConnectionInfo, host: &Host, tls: &Tls) -> RedisResult<Client> {
        let client_tls = tls.client.as_ref().map(|ClientCertificate { certificate, key }| {
            Ok::<_, RedisError>(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        });
        let root_cert = tls.authorities.as_ref().map(|authorities| {
            let pem = read(authorities)?;
            // Of a text without one, redis-rs makes a list of nobody to trust.
            if pem.windows(BEGIN.len()).any(|part| part == BEGIN) { Ok(pem) } else { Err(no_certificate()) }
        });
        let certificates =
            TlsCertificates { client_tls: client_tls.transpose()?, root_cert: root_cert.transpose()? };
        let Host { name, port } = host.clone();
        let address = ConnectionAddr::TcpTls { host: name, port, insecure: tls.insecure, tls_params: None };
        let info = address.into_connection_info()?;
        let info = info.set_tcp_settings(tcp_settings()).set_redis_settings(greeting);
        Client::build_with_tls(info, certificates)
    }

    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

    fn no_certificate() -> RedisError {
        (ErrorKind::InvalidClientConfig, "the authorities to trust hold no PEM certificate").into()
    }

    fn read(pem: &Pem) -> RedisResult<Vec<u8>> {
        match pem {
            Pem::Text(text) => Ok(text.clone()),
            Pem::File(path) => fs::read(path).map_err(|error| {
                let what = format!("{}: {error}", path.display());
                RedisError::from((ErrorKind::InvalidClientConfig, "cannot read a PEM file", what))
            }),
        }
    }
}

#[cfg(not(feature = "tls"))]
mod secure {
    use redis::Client;

    use super::{Error, Host, RedisConnectionInfo, RedisResult, Tls};

    pub(super) fn check(_: &Tls) -> Result<(), Error> {
        Err(Error::Config(
            "TLS with Redis needs the feature `tls` of session-store: add it in Cargo.toml; there is no falling \
             back to plaintext"
                .to_owned(),
        ))
    }

    pub(super) fn client(_: RedisConnectionInfo, _: &Host, _: &Tls) -> RedisResult<Client> {
        unreachable!("a Dialer without TLS has none")
    }
}

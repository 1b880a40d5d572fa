//! One connection of the client library, and the task that drives it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::SockRef;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinSet};

use super::write_coalescer::WriteCoalescer;
use crate::store::redis::target::Host;

/// A connection; clones share it, and it ends with the last of them.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: MultiplexedConnection,
    _driver: Arc<Driver>,
}

/// Does the reading and writing until it is dropped.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    pub(super) async fn over<S>(
        stream: S,
        greeting: &RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = WriteCoalescer::new(stream);
        let (client, driver) = MultiplexedConnection::new_with_config(greeting, stream, config).await?;
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok(Self { client, _driver: Arc::new(driver) })
    }
}

/// Connects to whichever of the host's addresses answers first.
pub(super) async fn connect(host: &Host, settings: &TcpSettings) -> io::Result<TcpStream> {
    let addresses = lookup_host((host.name.as_str(), host.port)).await?;
    let mut attempts: JoinSet<_> = addresses.map(TcpStream::connect::<SocketAddr>).collect();
    let mut fault = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    while let Some(attempt) = attempts.join_next().await {
        match attempt.unwrap_or_else(|stopped| Err(io::Error::other(stopped))) {
            Ok(stream) => {
                apply(settings, &stream)?;
                return Ok(stream);
            }
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

fn apply(settings: &TcpSettings, stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(settings.nodelay())?;
    if let Some(keepalive) = settings.keepalive() {
        socket.set_tcp_keepalive(keepalive)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(settings.user_timeout())?;
    Ok(())
}

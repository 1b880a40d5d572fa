//! A link that fails on demand.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Forwards TCP connections to an address, until told otherwise. It is tasks of the runtime that it
/// was made on, and ends with its connections when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    connections: Connections,
    accepted: Arc<AtomicUsize>,
    listening: JoinHandle<()>,
}

type Connections = Arc<Mutex<JoinSet<()>>>;

#[derive(Clone, Copy, Debug)]
struct Link {
    up: bool,
    replies: bool,
    /// How often it was cut or healed. What was connected in another era stays dead.
    era: u32,
}

impl Proxy {
    /// A proxy on a free port of the loopback interface.
    pub async fn to(server: SocketAddr) -> Self {
        Self::between((Ipv4Addr::LOCALHOST, 0).into(), server).await
    }

    pub(super) async fn between(own: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(own).await;
        let listener = listener.unwrap_or_else(|e| panic!("a proxy cannot listen on {own}: {e}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let link = watch::Sender::new(Link { up: true, replies: true, era: 0 });
        let (connections, accepted) = (Connections::default(), Arc::<AtomicUsize>::default());
        let listening = {
            let (link, connections, accepted) =
                (link.clone(), Arc::clone(&connections), Arc::clone(&accepted));
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    accepted.fetch_add(1, Ordering::Relaxed);
                    let relay = relay(client, server, link.subscribe());
                    connections.lock().expect("nobody panics holding it").spawn(relay);
                }
            })
        };
        Self { address, link, connections, accepted, listening }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How many connections it has accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Forwards nothing any more, in silence: connections stay open, new ones are accepted, and nothing
    /// comes out of them.
    pub fn cut(&self) {
        self.link.send_modify(|link| *link = Link { up: false, era: link.era + 1, ..*link });
    }

    /// Forwards new connections again. Those from before stay as dead as they are.
    pub fn heal(&self) {
        self.link.send_modify(|link| *link = Link { up: true, era: link.era + 1, ..*link });
    }

    /// Lets requests pass and keeps the replies back, so that nobody knows what became of them.
    pub fn hold_replies(&self) {
        self.link.send_modify(|link| link.replies = false);
    }

    /// Delivers the replies that were kept back, and those to come.
    pub fn release_replies(&self) {
        self.link.send_modify(|link| link.replies = true);
    }

    /// Closes the connections that there are. New ones are forwarded.
    pub fn close(&self) {
        self.connections.lock().expect("nobody panics holding it").abort_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.close();
    }
}

async fn relay(client: TcpStream, server: SocketAddr, mut link: watch::Receiver<Link>) {
    let Link { era, .. } = *link.borrow();
    let up = move |link: &Link| link.up && link.era == era;
    if link.wait_for(up).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let requests = forward(from_client, to_server, link.clone(), up);
    let replies = forward(from_server, to_client, link, move |link| up(link) && link.replies);
    // Both ends are closed as soon as one of them fails, or when both have said all.
    let _ = tokio::try_join!(requests, replies);
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut link: watch::Receiver<Link>,
    open: impl Fn(&Link) -> bool,
) -> std::io::Result<()> {
    let mut part = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut part).await;
        // The end of a connection does not pass a cut link either.
        if link.wait_for(&open).await.is_err() {
            return Ok(());
        }
        match read? {
            0 => return to.shutdown().await,
            length => to.write_all(&part[..length]).await?,
        }
    }
}

//! Where a process runs: a port and a directory that nobody else has meanwhile.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// Below the ports that systems give to outgoing connections. From among those, a client that calls
/// a server while it is down can get the server's port as its own: it then talks to itself, and the
/// server cannot come back.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;
/// A node's port for the other nodes of its cluster, from the one for clients. Redis's own choice.
const BUS: u16 = 10_000;

/// Tells this process from others: their searches for ports begin elsewhere and so seldom meet, and a
/// directory that was left by one that was killed is not taken for a fresh one.
static TOKEN: LazyLock<[u16; 2]> = LazyLock::new(|| {
    let [first, second, third, fourth, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    [[first, second], [third, fourth]].map(u16::from_ne_bytes)
});

/// A port of the loopback interface, and a directory.
#[derive(Debug)]
pub struct Place {
    port: u16,
    directory: Directory,
    _claim: UdpSocket,
}

impl Place {
    pub fn take() -> Self {
        static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(TOKEN[0]));
        for _ in 0..COUNT {
            let port = FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
            if let Some(claim) = claim(port) {
                return Self { port, directory: Directory::create(), _claim: claim };
            }
        }
        panic!("the loopback interface has no free port from {FIRST} on");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Redis uses no UDP, so the UDP port of the same number can say to other launchers that this one
/// is taken, also while its server is down. The system takes the claim back from a process that died.
fn claim(port: u16) -> Option<UdpSocket> {
    let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    for port in [port, port + BUS] {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    }
    Some(claim)
}

/// A fresh directory, which goes with everything in it when this is dropped.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [first, second] = *TOKEN;
        let directory = std::env::temp_dir().join(format!("redis-{first:04x}{second:04x}-{number}"));
        std::fs::create_dir(&directory).expect("the temporary directory can be written to");
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

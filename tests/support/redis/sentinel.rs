//! Sentinels that watch a master and its replicas.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;

use super::certificates::Certificates;
use super::place::Place;
use super::proxy::Proxy;
use super::server::{Server, password_in, require_topologies};
use super::{wait_for, wait_until};

const SERVERS: usize = 3;
const SENTINELS: usize = 3;
const QUORUM: usize = 2;
const MASTER: &str = "mymaster";
/// At its default pace a sentinel connects again after a second only, so that it may take the master
/// just elected for dead; it remembers for five seconds that another one took the old master for dead;
/// it takes twenty to make a replica of that; and once it was delayed by two, it does nothing for thirty.
const HURRY: &str = "SENTINEL DEBUG PING-PERIOD 400 INFO-PERIOD 500 PUBLISH-PERIOD 200 ASK-PERIOD 200 \
                     TILT-TRIGGER 20000";

/// Three servers, of which at the start 0 is the master, and three sentinels, who call it `mymaster`.
///
/// A master that has not answered for a second is replaced by a replica about two seconds later. If
/// the sentinels do not agree at once which of them is to do it, they try again after six seconds.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<Server>,
    watching: Vec<Server>,
    proxies: Vec<Proxy>,
}

impl Sentinels {
    /// Sentinels who know each other and the replicas, and replicas in sync with their master.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// The same with options for the servers, and others for the sentinels. A `--requirepass` is also
    /// what they tell each other, the sentinels and the servers.
    pub async fn start_with(servers: &[&str], sentinels: &[&str]) -> Self {
        Self::launch(None, servers, sentinels, false).await
    }

    /// The same with TLS for every connection.
    pub async fn start_tls(certificates: &Certificates, servers: &[&str], sentinels: &[&str]) -> Self {
        Self::launch(Some(certificates), servers, sentinels, false).await
    }

    /// Servers that are reached through proxies only, by clients, sentinels, and each other: one whose
    /// proxy is cut is on the wrong side of a network partition. The sentinels have no proxies.
    ///
    /// A sentinel takes 15 seconds to give up a connection that a proxy silently holds: call
    /// [`Proxy::close`] after [`Proxy::heal`] to spare them.
    ///
    /// The proxies listen on 127.0.0.2, which systems other than Linux have to be given first.
    pub async fn start_behind_proxies() -> Self {
        Self::launch(None, &[], &[], true).await
    }

    async fn launch(
        certificates: Option<&Certificates>,
        server_options: &[&str],
        sentinel_options: &[&str],
        proxied: bool,
    ) -> Self {
        require_topologies();
        let host = Ipv4Addr::new(127, 0, 0, if proxied { 2 } else { 1 });
        let mut proxies = Vec::new();
        let mut servers: Vec<Server> = Vec::new();
        for _ in 0..SERVERS {
            let master = servers.first().map(Server::port);
            let mut server = spawn_server(host, master, certificates, server_options);
            server.ready().await;
            if proxied {
                proxies.push(Proxy::between((host, server.port()).into(), server.address()).await);
            }
            servers.push(server);
        }
        // What a sentinel sees of a replica that is not in sync yet is a second old.
        for (number, replica) in servers.iter().enumerate().skip(1) {
            wait_until(&format!("server {number} is in sync with its master"), || async {
                let replication: RedisResult<String> = replica.ask("INFO replication").await;
                replication.is_ok_and(|replication| replication.contains("master_link_status:up"))
            })
            .await;
        }

        let mut watch = whom_to_watch(host, &servers);
        watch.extend(password_in(server_options).map(|it| format!("--sentinel auth-pass {MASTER} {it}")));
        watch.extend(password_in(sentinel_options).map(|it| format!("--sentinel sentinel-pass {it}")));
        let mut watching = spawn_sentinels(&watch, certificates, sentinel_options);
        for sentinel in &mut watching {
            sentinel.ready().await;
            let hurried = sentinel.ask(HURRY).await;
            let () = hurried.unwrap_or_else(|e| panic!("the sentinel takes `{HURRY}`: {e}"));
        }
        let started = Self { servers, watching, proxies };
        started.wait_until_well().await;
        started
    }

    /// Waits until every sentinel sees the master, its two replicas in sync, the other sentinels, and no
    /// failure.
    pub async fn wait_until_well(&self) {
        for (number, sentinel) in self.watching.iter().enumerate() {
            wait_until(&format!("sentinel {number} sees all well"), || async {
                is_well_to(sentinel).await.unwrap_or(false)
            })
            .await;
        }
    }

    /// `redis-sentinel://HOST:PORT,HOST:PORT,HOST:PORT/mymaster`, with TLS `rediss-sentinel://…`.
    pub fn url(&self) -> String {
        let scheme = if self.servers[0].has_tls() { "rediss-sentinel" } else { "redis-sentinel" };
        let sentinels: Vec<_> = self.watching.iter().map(|sentinel| sentinel.address().to_string()).collect();
        format!("{scheme}://{}/{MASTER}", sentinels.join(","))
    }

    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    pub fn servers_mut(&mut self) -> &mut [Server] {
        &mut self.servers
    }

    pub fn sentinels(&self) -> &[Server] {
        &self.watching
    }

    /// A sentinel that is started again goes at its default, slow pace.
    pub fn sentinels_mut(&mut self) -> &mut [Server] {
        &mut self.watching
    }

    /// The proxies in front of the servers, in the same order.
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// A connection to one of the servers.
    pub async fn client_of(&self, server: usize) -> MultiplexedConnection {
        self.servers[server].client().await
    }

    /// The server that the first sentinel alive calls the master.
    pub async fn master(&self) -> usize {
        wait_for("a sentinel names the master", || self.named_master()).await
    }

    async fn named_master(&self) -> Option<usize> {
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {MASTER}");
        for sentinel in &self.watching {
            // Some sentinels may be dead or frozen.
            let named = timeout(Duration::from_millis(500), sentinel.ask(&question)).await;
            if let Ok(Ok::<(String, u16), _>((_, port))) = named {
                return self.servers.iter().position(|server| server.port() == port);
            }
        }
        None
    }

    /// Waits until another server than `old` is named the master and says that it is: the time since
    /// the call.
    pub async fn wait_for_new_master(&self, old: usize) -> Duration {
        wait_until(&format!("another server than {old} is the master"), || async {
            let master = self.master().await;
            master != old && {
                let role: RedisResult<String> = self.servers[master].ask("INFO replication").await;
                role.is_ok_and(|role| role.contains("role:master"))
            }
        })
        .await
    }

    /// Has a sentinel replace the master, which is alive, by a replica. It returns before that is done.
    pub async fn failover(&self) {
        let asked = self.watching[0].ask(&format!("SENTINEL FAILOVER {MASTER}")).await;
        let () = asked.unwrap_or_else(|e| panic!("the sentinel starts a failover: {e}"));
    }
}

async fn is_well_to(sentinel: &Server) -> RedisResult<bool> {
    type Peer = HashMap<String, String>;
    let master: Peer = sentinel.ask(&format!("SENTINEL MASTER {MASTER}")).await?;
    let replicas: Vec<Peer> = sentinel.ask(&format!("SENTINEL REPLICAS {MASTER}")).await?;
    let sentinels: Vec<Peer> = sentinel.ask(&format!("SENTINEL SENTINELS {MASTER}")).await?;
    // Whatever is wrong adds a flag.
    let are =
        |peers: &[Peer], count, flags| peers.len() == count && peers.iter().all(|it| it["flags"] == flags);
    Ok(are(&[master], 1, "master")
        && are(&replicas, SERVERS - 1, "slave")
        && are(&sentinels, SENTINELS - 1, "sentinel")
        && replicas.iter().all(|replica| replica["master-link-status"] == "ok"))
}

/// A replica, if there is a master.
fn spawn_server(
    host: Ipv4Addr,
    master: Option<u16>,
    certificates: Option<&Certificates>,
    options: &[&str],
) -> Server {
    let mut settings = vec![format!("--replica-announce-ip {host}")];
    settings.extend(master.map(|master| format!("--replicaof {host} {master}")));
    settings.extend(password_in(options).map(|password| format!("--masterauth {password}")));
    Server::spawn(Place::take(), certificates, &with(&settings, options))
}

/// The options that tell a sentinel whom to watch, the first of the servers being the master.
fn whom_to_watch(host: Ipv4Addr, servers: &[Server]) -> Vec<String> {
    let ports: Vec<_> = servers.iter().map(Server::port).collect();
    let mut options = vec![
        format!("--sentinel monitor {MASTER} {host} {} {QUORUM}", ports[0]),
        format!("--sentinel down-after-milliseconds {MASTER} 1000"),
        format!("--sentinel failover-timeout {MASTER} 3000"),
        format!("--sentinel parallel-syncs {MASTER} 1"),
    ];
    let replicas = ports[1..].iter();
    options.extend(replicas.map(|port| format!("--sentinel known-replica {MASTER} {host} {port}")));
    options
}

/// Sentinels who know each other from the start: they would meet by themselves, in seconds.
fn spawn_sentinels(watch: &[String], certificates: Option<&Certificates>, options: &[&str]) -> Vec<Server> {
    let places: [_; SENTINELS] = std::array::from_fn(|_| Place::take());
    let ports = places.each_ref().map(Place::port);
    let spawn = |place: Place| {
        // They are known by 40 digits.
        let mut settings = vec![format!("--sentinel myid {:040}", place.port())];
        settings.extend_from_slice(watch);
        for port in ports.iter().filter(|port| **port != place.port()) {
            settings.push(format!("--sentinel known-sentinel {MASTER} 127.0.0.1 {port} {port:040}"));
        }
        Server::spawn(place, certificates, &with(&settings, options))
    };
    places.map(spawn).into()
}

/// Ours come first, since of two the last one counts.
fn with<'o>(settings: &'o [String], options: &[&'o str]) -> Vec<&'o str> {
    settings.iter().flat_map(|setting| setting.split(' ')).chain(options.iter().copied()).collect()
}

//! A Redis Cluster: three masters with a replica each.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisResult};
use tokio::time::timeout;

use super::certificates::Certificates;
use super::place::Place;
use super::proxy::Proxy;
use super::server::{Server, password_in, require_topologies};
use super::{wait_for, wait_until};

mod migration;

const MASTERS: usize = 3;
const SLOTS: usize = 16384;

/// Six nodes. At the start 0, 1 and 2 are masters of a third of the slots each, in this order, and
/// 3, 4 and 5 are their replicas; 0 and 3, 1 and 4, 2 and 5 stay a pair for ever, whoever is master.
///
/// A master that has not answered for a second is replaced by its replica a second or two later.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Server>,
    ids: Vec<String>,
    password: Option<String>,
    proxies: Vec<Proxy>,
}

impl Cluster {
    /// A cluster in which every node agrees that all is well.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with options for every node. A `--requirepass` is also what nodes tell each other.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::launch(None, options, false).await
    }

    /// A cluster that uses TLS for everything, between its nodes too.
    pub async fn start_tls(certificates: &Certificates, options: &[&str]) -> Self {
        Self::launch(Some(certificates), options, false).await
    }

    /// A cluster that tells clients the addresses of proxies in front of its nodes. The nodes talk to
    /// each other past them: a cut proxy is a broken link of clients only.
    ///
    /// The proxies listen on 127.0.0.2, which systems other than Linux have to be given first.
    pub async fn start_behind_proxies() -> Self {
        Self::launch(None, &[], true).await
    }

    async fn launch(certificates: Option<&Certificates>, options: &[&str], proxied: bool) -> Self {
        require_topologies();
        let password = password_in(options);
        let mut settings = vec![
            ["--cluster-enabled", "yes"],
            ["--cluster-node-timeout", "1000"],
            // Pairs stay pairs, and a master without slots stays a master.
            ["--cluster-allow-replica-migration", "no"],
        ];
        settings.extend(password.map(|password| ["--masterauth", password]));
        settings.extend(certificates.map(|_| ["--tls-cluster", "yes"]));
        if proxied {
            settings.push(["--cluster-announce-hostname", "127.0.0.2"]);
            settings.push(["--cluster-preferred-endpoint-type", "hostname"]);
        }
        let options = [settings.as_flattened(), options].concat();
        let mut nodes: Vec<_> =
            (0..2 * MASTERS).map(|_| Server::spawn(Place::take(), certificates, &options)).collect();
        let mut proxies = Vec::new();
        for node in &mut nodes {
            node.ready().await;
            if proxied {
                let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), node.port()));
                proxies.push(Proxy::between(own, node.address()).await);
            }
        }
        let mut cluster = Self { nodes, ids: Vec::new(), password: password.map(str::to_owned), proxies };
        cluster.assemble().await;
        cluster
    }

    async fn assemble(&mut self) {
        for node in 0..self.nodes.len() {
            self.ids.push(self.order(node, "CLUSTER MYID").await);
            // Nodes that have the same epoch when they meet take long to settle whose is newer.
            let () = self.order(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", node + 1)).await;
            if node < MASTERS {
                let (first, last) = (node * SLOTS / MASTERS, (node + 1) * SLOTS / MASTERS - 1);
                let () = self.order(node, &format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await;
            }
            // Hearsay would acquaint them too, in seconds.
            for other in 0..node {
                let port = self.nodes[other].port();
                let () = self.order(node, &format!("CLUSTER MEET 127.0.0.1 {port}")).await;
            }
        }
        for node in 0..self.nodes.len() {
            wait_until(&format!("node {node} knows the others"), || async {
                self.known(node).await.is_ok_and(|known| known == self.nodes.len())
            })
            .await;
        }
        for master in 0..MASTERS {
            let replicate = format!("CLUSTER REPLICATE {}", self.ids[master]);
            let () = self.order(self.replica_of(master), &replicate).await;
        }
        self.wait_until_well().await;
    }

    /// Waits until every node sees every slot served, every master with its replica, and no failure.
    pub async fn wait_until_well(&self) {
        for node in 0..self.nodes.len() {
            wait_until(&format!("node {node} sees the cluster well"), || async {
                self.is_well_to(node).await.unwrap_or(false)
            })
            .await;
        }
    }

    async fn is_well_to(&self, node: usize) -> RedisResult<bool> {
        let node = &self.nodes[node];
        let info: String = node.ask("CLUSTER INFO").await?;
        let nodes: String = node.ask("CLUSTER NODES").await?;
        let replication: String = node.ask("INFO replication").await?;
        let roles = |role: &str| nodes.lines().filter(|line| flags(line).any(|flag| flag == role)).count();
        Ok(info.contains("cluster_state:ok")
            && roles("master") == MASTERS
            && roles("slave") == MASTERS
            && !nodes.contains("fail")
            && !nodes.contains("disconnected")
            && nodes.matches(",127.0.0.2").count() == self.proxies.len()
            && (replication.contains("state=online") || replication.contains("master_link_status:up")))
    }

    /// How many nodes a node knows, itself included, without those that it has yet to shake hands with.
    async fn known(&self, node: usize) -> RedisResult<usize> {
        let nodes: String = self.nodes[node].ask("CLUSTER NODES").await?;
        Ok(if nodes.contains("handshake") { 0 } else { nodes.lines().count() })
    }

    /// `redis-cluster://HOST:PORT,HOST:PORT,HOST:PORT`, with TLS `rediss-cluster://…`: the masters of
    /// the start.
    pub fn url(&self) -> String {
        self.url_of(&[0, 1, 2])
    }

    /// The same of certain nodes.
    pub fn url_of(&self, nodes: &[usize]) -> String {
        let scheme = if self.nodes[0].has_tls() { "rediss-cluster" } else { "redis-cluster" };
        let nodes: Vec<_> = nodes.iter().map(|node| self.address(*node).to_string()).collect();
        format!("{scheme}://{}", nodes.join(","))
    }

    /// Where clients reach a node: its proxy if it has one.
    fn address(&self, node: usize) -> SocketAddr {
        self.proxies.get(node).map_or(self.nodes[node].address(), Proxy::address)
    }

    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    pub fn nodes_mut(&mut self) -> &mut [Server] {
        &mut self.nodes
    }

    /// The proxies in front of the nodes, in the same order.
    pub fn proxies(&self) -> &[Proxy] {
        &self.proxies
    }

    /// A connection to one node, for commands that it does not redirect.
    pub async fn client_of(&self, node: usize) -> MultiplexedConnection {
        self.nodes[node].client().await
    }

    /// The other one of the pair: the replica of a master, the master of a replica.
    pub fn replica_of(&self, master: usize) -> usize {
        (master + MASTERS) % self.nodes.len()
    }

    /// Waits until the replica of `master` has taken over and serves: the time since the call.
    pub async fn wait_for_promotion(&self, master: usize) -> Duration {
        let node = self.replica_of(master);
        wait_until(&format!("node {node} has taken over from node {master}"), || async {
            let role: RedisResult<String> = self.nodes[node].ask("INFO replication").await;
            let state: RedisResult<String> = self.nodes[node].ask("CLUSTER INFO").await;
            role.is_ok_and(|role| role.contains("role:master"))
                && state.is_ok_and(|state| state.contains("cluster_state:ok"))
        })
        .await
    }

    /// The node that serves a slot: the one that says so of itself, and if a former master, just back,
    /// still says it too, the later elected.
    pub async fn master_of(&self, slot: u16) -> usize {
        wait_for(&format!("a node serves slot {slot}"), || self.latest_master_of(slot)).await
    }

    async fn latest_master_of(&self, slot: u16) -> Option<usize> {
        let mut latest = None;
        for node in 0..self.nodes.len() {
            let Some(nodes) = self.ask_if_alive(node, "CLUSTER NODES").await else { continue };
            let own = nodes.lines().find(|line| line.contains("myself")).expect("a node knows itself");
            if serves(own, slot) {
                let epoch: Option<u64> = own.split(' ').nth(6).and_then(|epoch| epoch.parse().ok());
                latest = latest.max(Some((epoch, node)));
            }
        }
        latest.map(|(_, node)| node)
    }

    /// `None` of a node that is dead or frozen.
    async fn ask_if_alive(&self, node: usize, command: &str) -> Option<String> {
        timeout(Duration::from_millis(500), self.nodes[node].ask(command)).await.ok()?.ok()
    }

    async fn order<T: FromRedisValue>(&self, node: usize, command: &str) -> T {
        let answer = self.nodes[node].ask(command).await;
        answer.unwrap_or_else(|e| panic!("node {node} answers `{command}`: {e}"))
    }
}

/// Of a line of `CLUSTER NODES`, which is
/// `<id> <address> <flags> <master> <ping> <pong> <epoch> <link> <slot>|<first>-<last> …`.
fn flags(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ').nth(2).unwrap_or_default().split(',')
}

fn serves(line: &str, slot: u16) -> bool {
    line.split(' ').skip(8).any(|slots| {
        let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
        // A slot on the move is listed again, in brackets.
        let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else { return false };
        (first..=last).contains(&slot)
    })
}

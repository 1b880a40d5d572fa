//! Connections and their supervision, and nothing else.
//!
//! A [`Supervisor`] keeps one multiplexed connection: when it breaks, or leads to a server that is
//! of no use, a background task makes another. Callers wait for it as long as the server may be well, and
//! fail at once when it is known to be away. A [`Node`] is what leads to one server, [`Connections`] to all
//! servers of a topology.

mod cluster;
mod dialer;
mod durable;
mod features;
mod health;
mod link;
mod node;
mod poll;
mod sentinel;
mod standalone;
mod supervisor;
#[cfg(feature = "tls")]
mod tls;
mod write_coalescer;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::AsyncPushSender;
use redis::{Cmd, Pipeline, Value};

use self::cluster::Cluster;
use self::dialer::Dialer;
use self::features::Features;
use self::health::Journal;
use self::link::Link;
use self::node::Node;
use self::sentinel::Sentinel;
use self::standalone::Standalone;
use self::supervisor::Connector;
use super::failure::Failure;
use super::name::Slot;
use super::target::{Host, Servers, Target};
use crate::error::Error;
use crate::store::background::RuntimeHandle;
use crate::store::status::{StoreStatus, Topology};

pub(super) use self::dialer::Address;
pub(super) use self::durable::Replication;
pub(super) use self::sentinel::Opinion;

/// How connections are made and used.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Bounds an operation, and an attempt to connect.
    timeout: Duration,
    /// How many connections to each server share the operations.
    connections: usize,
    /// What [`Durability::Replicated`] waits for, where it differs from [`Durability::Ordinary`].
    replication: Option<Replication>,
    /// Where background tasks run.
    home: RuntimeHandle,
}

impl Settings {
    pub(super) fn new(timeout: Duration, connections: usize, replication: Option<Replication>) -> Self {
        Self { timeout, connections, replication, home: RuntimeHandle::default() }
    }

    fn limit(&self, durability: Durability) -> Duration {
        match durability {
            Durability::Ordinary | Durability::Insistent => self.timeout,
            // A write may come while the server waits for those before it, and then waits itself.
            Durability::Replicated => {
                self.timeout + 2 * self.replication.map_or(Duration::ZERO, |it| it.within)
            }
        }
    }
}

/// What an operation has to survive, and so on which of a server's connections it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Nothing but the client's end: it runs on the shared connections.
    Ordinary,
    /// The same, but a server that is known to be away is tried again first.
    Insistent,
    /// The loss of the master, if the confirmation of replicas was asked for.
    Replicated,
}

/// Whether an operation is run again if its connection broke before the answer came.
#[derive(Clone, Copy)]
pub(super) enum Repeat<'a> {
    /// It may have taken effect, and must not do so twice.
    Never,
    /// It has no effect.
    Read,
    /// The second run has the same effect and answer as the first, or as good ones.
    Write,
    /// The same, where the second answer shows what became of the first run. Otherwise that stays unknown.
    If(&'a (dyn Fn(&Value) -> bool + Send + Sync)),
}

/// Leads to the servers of one topology.
#[derive(Debug)]
pub(super) struct Connections {
    topology: Topology,
    kind: Kind,
    dialer: Dialer,
    home: RuntimeHandle,
}

#[derive(Debug)]
enum Kind {
    One { node: Node, place: Place, journal: Arc<Journal> },
    Cluster(Cluster),
}

/// Where the one server is.
#[derive(Debug)]
enum Place {
    Known(Address),
    Watched(Box<Sentinel>),
}

impl Connections {
    /// Without a connection yet; nothing is tried before [`connect`](Self::connect) or
    /// [`start`](Self::start).
    pub(super) fn new(target: Target, settings: &Settings) -> Result<Self, Error> {
        let dialer = Dialer::new(target.login, target.database, target.tls.clone())?;
        let to_servers = dialer.clone();
        // Here, whoever asked for it: a variable, a parameter of a URL.
        if target.tls.as_ref().is_some_and(|tls| tls.insecure) {
            tracing::warn!(
                "certificates of Redis are not verified (REDIS_TLS_INSECURE, or insecure=true in the URL): a \
                 machine in the middle can read and change every session; name the authority of their \
                 certificates by REDIS_TLS_CACERT, or cacert= in the URL"
            );
        }
        let one = |connector: Arc<dyn Connector>, place| {
            let journal = Arc::new(Journal::default());
            let node = Node::new(&connector, settings, &journal);
            Kind::One { node, place, journal }
        };
        let known = |address: Address, dialer| {
            one(Arc::new(Standalone::new(address.clone(), dialer)), Place::Known(address))
        };
        let topology = target.servers.topology();
        let kind = match target.servers {
            Servers::One(host) => known(Address::Host(host), dialer),
            Servers::Socket(path) => known(Address::Socket(path), dialer),
            Servers::Sentinel { sentinels, master } => {
                let to_sentinels = Dialer::new(target.sentinel_login, 0, target.tls)?;
                let sentinel = Sentinel::new(sentinels, master, to_sentinels, dialer, settings.timeout);
                one(Arc::new(sentinel.clone()), Place::Watched(Box::new(sentinel)))
            }
            Servers::Cluster(seeds) => Kind::Cluster(Cluster::new(seeds, dialer, settings.clone())),
        };
        Ok(Self { topology, kind, dialer: to_servers, home: settings.home.clone() })
    }

    /// Where background tasks run.
    pub(super) fn home(&self) -> &RuntimeHandle {
        &self.home
    }

    /// Connects, or fails within the timeout.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        match &self.kind {
            Kind::One { node, .. } => node.connect().await,
            Kind::Cluster(cluster) => cluster.connect().await,
        }
    }

    /// Connects in the background.
    pub(super) fn start(&self) {
        match &self.kind {
            Kind::One { node, .. } => node.start(),
            Kind::Cluster(cluster) => cluster.start(),
        }
    }

    /// Runs an operation of one or more commands on the server that has this slot, or from the
    /// start on another if it moved.
    pub(super) async fn run<F>(
        &self,
        slot: Slot,
        durability: Durability,
        repeat: Repeat<'_>,
        operation: impl Fn(Connection) -> F,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        match &self.kind {
            Kind::One { node, .. } => node.run(durability, repeat, operation).await,
            Kind::Cluster(cluster) => cluster.run(slot, durability, repeat, operation).await,
        }
    }

    /// Runs an operation of one or more commands, none of which writes, on a certain node of a cluster, and
    /// otherwise on the server that there is.
    pub(super) async fn run_at<F>(
        &self,
        node: Option<&Host>,
        operation: impl Fn(Connection) -> F,
    ) -> Result<Value, Failure>
    where
        F: Future<Output = Result<Value, Failure>>,
    {
        match (&self.kind, node) {
            (Kind::Cluster(cluster), Some(node)) => cluster.run_at(node, operation).await,
            (Kind::Cluster(_), None) => Err(Failure::NotConnected("no node was named".to_owned())),
            (Kind::One { node, .. }, _) => node.run(Durability::Ordinary, Repeat::Read, operation).await,
        }
    }

    /// A number that grows when a server may have become another one, and when a node of a cluster was met.
    pub(super) fn generation(&self) -> u64 {
        match &self.kind {
            Kind::One { journal, .. } => journal.reconnects(),
            Kind::Cluster(cluster) => cluster.journal().reconnects() + cluster.arrivals(),
        }
    }

    /// The nodes of a cluster that may have sessions, and whether each has slots: one without may be about to get
    /// some.
    pub(super) fn holders(&self) -> Vec<(Host, bool)> {
        match &self.kind {
            Kind::One { .. } => Vec::new(),
            Kind::Cluster(cluster) => cluster.holders(),
        }
    }

    /// The nodes of a cluster that are known so far.
    pub(super) fn nodes(&self) -> Vec<Host> {
        match &self.kind {
            Kind::One { .. } => Vec::new(),
            Kind::Cluster(cluster) => cluster.nodes(),
        }
    }

    /// Where the one server is, as the sentinels say if they watch it; `None` in a cluster.
    pub(super) async fn address(&self) -> Result<Option<Address>, Failure> {
        match &self.kind {
            Kind::One { place: Place::Known(address), .. } => Ok(Some(address.clone())),
            Kind::One { place: Place::Watched(sentinel), .. } => {
                sentinel.master().await.map(Address::Host).map(Some)
            }
            Kind::Cluster(_) => Ok(None),
        }
    }

    /// One more connection to a server, which nobody looks after. What the server sends unasked goes to `pushes`.
    pub(super) async fn connect_beside(
        &self,
        address: &Address,
        pushes: impl AsyncPushSender,
    ) -> Result<Connection, Failure> {
        Ok(Connection::new(self.dialer.dial(address, pushes).await?))
    }

    /// What each sentinel says; nothing without sentinels.
    pub(super) async fn sentinels(&self) -> Vec<Opinion> {
        match &self.kind {
            Kind::One { place: Place::Watched(sentinel), .. } => sentinel.opinions().await,
            _ => Vec::new(),
        }
    }

    /// Whether all keys are on one server, so that a script may use any of them.
    pub(super) fn are_one_server(&self) -> bool {
        self.topology != Topology::Cluster
    }

    pub(super) fn topology(&self) -> Topology {
        self.topology
    }

    pub(super) fn status(&self) -> StoreStatus {
        let (journal, status) = match &self.kind {
            Kind::One { node, journal, .. } => (&**journal, node.status()),
            Kind::Cluster(cluster) => (cluster.journal(), cluster.status()),
        };
        journal.status(self.topology, status)
    }
}

/// What commands are sent on; clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    link: Link,
    features: Features,
    /// Whether the server has the slot on trial only, as the target of a migration.
    asking: bool,
    /// Tells it from the one that takes its place.
    generation: u64,
    /// Whether the operation was sent before, on a connection that broke.
    again: bool,
    /// What lasts as long as the connection.
    _watch: Option<Arc<dyn Send + Sync>>,
}

impl Connection {
    fn new(link: Link) -> Self {
        Self { link, features: Features::default(), asking: false, generation: 0, again: false, _watch: None }
    }

    /// The same, once the server was asked what it can do.
    async fn greeted(mut link: Link) -> Self {
        let features = Features::of(&mut link.client).await;
        Self { features, ..Self::new(link) }
    }

    /// Whether `SET` takes `IFEQ`.
    pub(super) fn sets_if_equal(&self) -> bool {
        self.features.set_if_equal
    }

    /// Whether the operation was sent before, on a connection that broke.
    pub(super) fn is_again(&self) -> bool {
        self.again
    }

    pub(super) async fn send(&mut self, command: &Cmd) -> Result<Value, Failure> {
        if self.asking {
            return Box::pin(self.ask(command)).await;
        }
        Ok(self.link.client.send_packed_command(command).await?.extract_error()?)
    }

    /// The answers to several commands at once, of which each may be an error; not on trial.
    pub(super) async fn send_all(&mut self, commands: &Pipeline) -> Result<Value, Failure> {
        Ok(Value::Array(self.link.client.send_packed_commands(commands, 0, commands.len()).await?))
    }

    /// The same, or nothing where a node of a cluster can't answer all of them by itself, as the slot is migrating
    /// or has moved.
    pub(super) async fn send_together(&mut self, commands: &Pipeline) -> Result<Option<Value>, Failure> {
        if self.asking {
            return Ok(None);
        }
        let answers = self.link.client.send_packed_commands(commands, 0, commands.len()).await?;
        let is_elsewhere = |answer: &Value| match answer {
            Value::ServerError(error) => {
                Failure::from(redis::RedisError::from(error.clone())).is_redirection()
            }
            _ => false,
        };
        Ok((!answers.iter().any(is_elsewhere)).then_some(Value::Array(answers)))
    }

    async fn ask(&mut self, command: &Cmd) -> Result<Value, Failure> {
        // ASKING is for the next command of the connection, which others use as well.
        let mut both = redis::pipe();
        both.cmd("ASKING").add_command(command.clone());
        let mut replies = self.link.client.send_packed_commands(&both, 1, 1).await?;
        Ok(replies.pop().unwrap_or(Value::Nil).extract_error()?)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("asking", &self.asking).finish_non_exhaustive()
    }
}

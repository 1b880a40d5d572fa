//! What the stores are measured against: the libraries beneath them, doing the least that they can
//! with the same bytes.

use std::sync::Arc;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, Value, cmd};
use bytes::Bytes;
use moka::sync::Cache;
use session_store::{SessionId, SessionKey, Ttl};

use super::operation::{DAY, record};
use super::redis::Server;
use super::{Worker, share};

/// Of a cluster.
const SLOTS: usize = 16384;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Get,
    /// Of a key that is there.
    Set,
    /// Of a key that is not: Redis allocates more then.
    SetNew,
}

impl Command {
    pub const ALL: [Self; 3] = [Self::Get, Self::Set, Self::SetNew];

    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "raw GET",
            Self::Set => "raw SET",
            Self::SetNew => "raw SET (new)",
        }
    }
}

/// Connections as a store's are, one to each master: RESP3 and no Nagle delay. They wait for ever,
/// where a store has a timeout around each operation.
#[derive(Clone)]
pub struct Raw(Vec<MultiplexedConnection>);

impl Raw {
    /// To servers that have an equal part of the slots each, in their order; a single one has all.
    pub async fn connect(servers: &[Server]) -> Self {
        let mut connections = Vec::new();
        for server in servers {
            let info =
                format!("{}?protocol=resp3", server.url()).into_connection_info().expect("the URL is one");
            let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let client = Client::open(info).expect("the URL is one");
            let connection = client.get_multiplexed_async_connection_with_config(&config).await;
            connections.push(connection.expect("the server answers"));
        }
        Self(connections)
    }

    /// To the only server, or the first one.
    pub fn first(&self) -> MultiplexedConnection {
        self.0[0].clone()
    }

    /// To the server that holds what has this name.
    async fn holder_of(&self, name: &str) -> MultiplexedConnection {
        if self.0.len() == 1 {
            return self.first();
        }
        let mut ask = cmd("CLUSTER");
        let slot = ask.arg("KEYSLOT").arg(name).query_async(&mut self.first()).await;
        let slot: usize = slot.expect("the server answers");
        let holder = (0..self.0.len()).find(|number| slot < (number + 1) * SLOTS / self.0.len());
        self.0[holder.expect("the last one holds the rest")].clone()
    }

    /// Removes all keys.
    pub async fn empty(&self) {
        for connection in &self.0 {
            cmd("FLUSHALL").exec_async(&mut connection.clone()).await.expect("the server answers");
        }
    }
}

/// A task that sends `GET` or `SET … PX` by itself.
pub struct RawClient {
    connection: MultiplexedConnection,
    command: Command,
    name: String,
    value: Vec<u8>,
    /// One name for each step that uses one up.
    ahead: Vec<String>,
}

impl RawClient {
    /// So many as `tasks`, on the same connections, ready to take `steps` together.
    pub async fn all(raw: &Raw, command: Command, tasks: u64, steps: u64) -> Vec<Self> {
        let mut clients = Vec::new();
        for task in 0..tasks {
            let steps = if command == Command::SetNew { share(steps, tasks, task) } else { 0 };
            let id = SessionId::generate();
            let name = name(&id);
            let connection = raw.holder_of(&name).await;
            // Ids of one lineage are in one slot.
            let ahead = (0..steps).map(|_| self::name(&id.rotated())).collect();
            let mut client = Self { connection, command, name, value: record().to_bytes(), ahead };
            client.set().await;
            clients.push(client);
        }
        clients
    }

    async fn get(&mut self) {
        let reply = cmd("GET").arg(&self.name).query_async(&mut self.connection).await;
        assert!(matches!(reply.expect("the server answers"), Value::BulkString(_)));
    }

    async fn set(&mut self) {
        let mut set = cmd("SET");
        set.arg(&self.name).arg(&self.value).arg("PX").arg(Ttl::new(DAY).as_millis());
        let reply = set.query_async(&mut self.connection).await;
        assert!(matches!(reply.expect("the server answers"), Value::Okay));
    }
}

impl Worker for RawClient {
    async fn step(&mut self) {
        match self.command {
            Command::Get => self.get().await,
            Command::Set => self.set().await,
            Command::SetNew => {
                self.name = self.ahead.pop().expect("one for each step");
                self.set().await;
            }
        }
    }
}

/// As long as the name that a store gives.
fn name(id: &SessionId) -> String {
    format!("session:{}", id.key().storage_name())
}

/// A task that gets the bytes from a plain cache.
pub struct MokaReader {
    cache: Arc<Cache<SessionKey, Bytes>>,
    key: SessionKey,
}

impl MokaReader {
    /// So many as `tasks`, on one cache.
    pub fn all(tasks: u64) -> Vec<Self> {
        let cache = Arc::new(Cache::new(1_000_000));
        let reader = |_| {
            let key = SessionId::generate().key();
            cache.insert(key.clone(), record().to_bytes().into());
            Self { cache: Arc::clone(&cache), key }
        };
        (0..tasks).map(reader).collect()
    }
}

impl Worker for MokaReader {
    async fn step(&mut self) {
        assert!(self.cache.get(&self.key).is_some());
    }
}

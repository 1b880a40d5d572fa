//! One page of one server: a `SCAN`, or the keys of a slot.

use std::fmt;

use redis::{ErrorKind, Pipeline, RedisError, Value};

use super::cursor::NodeCursor;
use super::slots::SlotSet;
use super::topology::{self, Node};
use crate::store::redis::RedisStore;
use crate::store::redis::connection::Connection;
use crate::store::redis::failure::Failure;
use crate::store::redis::name::Slot;
use crate::store::redis::server_info::{Info, Software};
use crate::store::redis::target::Host;

/// A slot with more keys than that is not read as a whole.
const MOST_IN_SLOT: usize = 100_000;

/// What is looked for.
#[derive(Debug)]
pub(in crate::store::redis) struct Sought {
    /// What the names look like, for `MATCH`.
    pub(in crate::store::redis) names: String,
    /// The type of the values.
    pub(in crate::store::redis) kind: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct NodePage {
    pub(super) names: Vec<Vec<u8>>,
    /// Whether the iteration began with it.
    pub(super) is_first: bool,
    /// At its start once the server has no more.
    pub(super) next: NodeCursor,
    /// Which share of the server was scanned by now.
    pub(super) share: f64,
    /// Of a cluster, as the server saw it just before.
    pub(super) nodes: Vec<Node>,
}

impl RedisStore {
    /// Scans on from `at`, or from the start if that is of another process.
    pub(super) async fn step(
        &self,
        node: Option<&Host>,
        at: &NodeCursor,
        sought: &Sought,
        size: usize,
    ) -> Result<NodePage, Failure> {
        let mut cursor = at.cursor;
        loop {
            let mut commands = redis::pipe();
            commands.cmd("INFO").arg("server");
            if node.is_some() {
                commands.cmd("CLUSTER").arg("NODES");
            }
            commands.cmd("SCAN").arg(cursor).arg("MATCH").arg(&sought.names);
            commands.arg("COUNT").arg(size).arg("TYPE").arg(sought.kind);
            let mut answers = self.answers(node, &commands).await?.into_iter();
            let mut answer = || answers.next().ok_or_else(|| unexpected("a pipeline"));
            let server = Server::of(&redis::from_redis_value::<String>(answer()?.extract_error()?)?);
            let nodes = if node.is_some() { topology::parse(answer()?)? } else { Vec::new() };
            let scanned = answer()?.extract_error()?;
            if cursor != 0 && server.run_id != at.run_id {
                cursor = 0;
                continue;
            }
            let (next, names): (String, Vec<Vec<u8>>) = redis::from_redis_value(scanned)?;
            let next = next.parse().map_err(|_| unexpected("SCAN"))?;
            let own = nodes.iter().find(|node| node.is_self).map(Node::slots);
            return Ok(NodePage {
                names,
                is_first: cursor == 0,
                share: if next == 0 { 1.0 } else { server.share(next, own.as_ref()) },
                next: NodeCursor { run_id: server.run_id, cursor: next },
                nodes,
            });
        }
    }

    /// The cluster as this node sees it, which has to be in touch with most of the masters.
    pub(super) async fn nodes_as_seen_by(&self, node: &Host) -> Result<Vec<Node>, Failure> {
        let mut commands = redis::pipe();
        commands.cmd("CLUSTER").arg("INFO");
        commands.cmd("CLUSTER").arg("NODES");
        let [info, nodes] = parts(Value::Array(self.answers(Some(node), &commands).await?))?;
        let info: String = redis::from_redis_value(info.extract_error()?)?;
        if !info.contains("cluster_state:ok") {
            return Err(Failure::NotConnected(format!("the cluster is down, as {node} says")));
        }
        topology::parse(nodes)
    }

    /// The cluster as this node sees it, and the names of all keys that it has in a slot. Of too many, it
    /// does not say how it sees the cluster: they prove nothing.
    pub(super) async fn keys_in_slot(
        &self,
        node: &Host,
        slot: Slot,
    ) -> Result<(Vec<Node>, Vec<Vec<u8>>), Failure> {
        let mut commands = redis::pipe();
        commands.cmd("CLUSTER").arg("NODES");
        commands.cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(MOST_IN_SLOT);
        let [nodes, keys] = parts(Value::Array(self.answers(Some(node), &commands).await?))?;
        let keys: Vec<Vec<u8>> = redis::from_redis_value(keys.extract_error()?)?;
        let nodes = if keys.len() < MOST_IN_SLOT { topology::parse(nodes)? } else { Vec::new() };
        Ok((nodes, keys))
    }

    async fn answers(&self, node: Option<&Host>, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let ask = async |mut connection: Connection| connection.send_all(commands).await;
        match self.connections.run_at(node, ask).await? {
            Value::Array(answers) => Ok(answers),
            _ => Err(unexpected("a pipeline")),
        }
    }
}

/// The answers to a pipeline of so many commands.
pub(super) fn parts<const N: usize>(reply: Value) -> Result<[Value; N], Failure> {
    match reply {
        Value::Array(values) => values.try_into().map_err(|_| unexpected("a pipeline")),
        _ => Err(unexpected("a pipeline")),
    }
}

pub(super) fn unexpected(what: impl fmt::Display) -> Failure {
    let error = (ErrorKind::UnexpectedReturnType, "an unexpected reply", what.to_string());
    RedisError::from(error).into()
}

/// What a server says of itself in `INFO server`.
struct Server {
    run_id: String,
    by_slot: bool,
}

impl Server {
    fn of(info: &str) -> Self {
        let info = Info::parse(info);
        let by_slot = match info.software() {
            Software::Redis => info.release() >= Some((7, 4)),
            Software::Valkey => info.release() >= Some((8, 0)),
            Software::Redict => false,
        };
        // It goes into a cursor, whose fields are separated.
        let run_id = info.run_id().unwrap_or_default();
        Self { run_id: run_id.chars().filter(char::is_ascii_alphanumeric).take(64).collect(), by_slot }
    }

    /// A server counts the buckets of its hash table up from the highest bit to the lowest, so that it may
    /// be resized meanwhile: read backwards, its cursor is the share of the table. In a cluster, newer
    /// servers have a table for each slot, one after the other, and the slot in the lowest 14 bits.
    /// <https://github.com/valkey-io/valkey/blob/9.0/src/kvstore.c>
    #[expect(clippy::cast_precision_loss, reason = "it is about so much")]
    fn share(&self, cursor: u64, own_slots: Option<&SlotSet>) -> f64 {
        match own_slots {
            Some(own) if self.by_slot => {
                let is_behind = |slot: &Slot| u64::from(*slot) < cursor & 0x3fff;
                own.iter().filter(is_behind).count() as f64 / own.len().max(1) as f64
            }
            _ => cursor.reverse_bits() as f64 / 2_f64.powi(64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_read_backwards_is_the_share_of_the_table() {
        let old = Server::of("redis_version:7.0.15\r\nrun_id:abc\r\n");
        assert_eq!(old.run_id, "abc");
        // The buckets of a table of 8, in the order of a scan.
        for (nth, cursor) in (1_u8..).zip([0b100, 0b010, 0b110, 0b001, 0b101, 0b011, 0b111]) {
            let share = f64::from(nth) / 8.0;
            assert!((old.share(cursor, Some(&SlotSet::ALL)) - share).abs() < 1e-9 && !old.by_slot);
        }
        let new = Server::of("redis_version:7.4.1\r\n");
        let own: SlotSet = (10_000..10_100).chain([3]).collect();
        for (slot, share) in [(3, 0.0), (10_000, 1.0 / 101.0), (10_050, 51.0 / 101.0)] {
            assert!((new.share(7 << 14 | slot, Some(&own)) - share).abs() < 1e-9, "{slot}");
        }
        assert!((new.share(1, None) - 0.5).abs() < 1e-9);
        assert!(Server::of("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n").by_slot);
    }
}

//! One `SCAN` on one server.

use std::fmt;

use redis::{ErrorKind, RedisError, Value};

use crate::store::redis::RedisStore;
use crate::store::redis::connection::Connection;
use crate::store::redis::failure::Failure;
use crate::store::redis::layout::{Keyspace, Named};
use crate::store::redis::server_info::{Info, Software};
use crate::store::redis::target::Host;

/// How far a server was scanned: its cursor, which is of no use to any other process, not even the same
/// server started again.
/// <https://github.com/valkey-io/valkey/issues/4>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// What a server calls itself from its start to its end.
    pub(super) run_id: String,
    pub(super) cursor: u64,
}

impl Spot {
    /// Where a server begins, and where it ends.
    pub(super) fn is_start(&self) -> bool {
        self.cursor == 0
    }
}

#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) keys: Vec<Named>,
    /// At its start once the server has no more.
    pub(super) next: Spot,
    /// Which share of the server was scanned by now.
    pub(super) share: f64,
}

impl RedisStore {
    /// Scans on from `spot`, or from the start if that is of another process.
    pub(super) async fn step(
        &self,
        node: Option<&Host>,
        spot: &Spot,
        keyspace: &dyn Keyspace,
        size: usize,
    ) -> Result<Step, Failure> {
        let mut cursor = spot.cursor;
        loop {
            let mut both = redis::pipe();
            both.cmd("INFO").arg("server");
            both.cmd("SCAN").arg(cursor).arg("MATCH").arg(keyspace.glob());
            both.arg("COUNT").arg(size).arg("TYPE").arg("string");
            let scan = async |mut connection: Connection| connection.send_all(&both).await;
            let [info, scanned] = two(self.connections.run_at(node, scan).await?)?;
            let server = Server::of(&redis::from_redis_value::<String>(info.extract_error()?)?);
            let scanned = scanned.extract_error()?;
            if cursor != 0 && server.run_id != spot.run_id {
                cursor = 0;
                continue;
            }
            let (next, found): (String, Vec<Vec<u8>>) = redis::from_redis_value(scanned)?;
            let cursor = next.parse().map_err(|_| unexpected("SCAN"))?;
            let share = if cursor == 0 { 1.0 } else { server.share(cursor, node.is_some()) };
            return Ok(Step {
                keys: found.iter().filter_map(|name| keyspace.named(name)).collect(),
                next: Spot { run_id: server.run_id, cursor },
                share,
            });
        }
    }
}

pub(super) fn two(reply: Value) -> Result<[Value; 2], Failure> {
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
    /// servers have a table for each slot, and the slot in the lowest bits.
    #[expect(clippy::cast_precision_loss, reason = "it is about so much")]
    fn share(&self, cursor: u64, in_cluster: bool) -> f64 {
        if in_cluster && self.by_slot {
            return (cursor & 0x3fff) as f64 / 16384.0;
        }
        cursor.reverse_bits() as f64 / 2_f64.powi(64)
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
            assert!((old.share(cursor, true) - share).abs() < 1e-9 && !old.by_slot);
        }
        let new = Server::of("redis_version:7.4.1\r\n");
        assert!((new.share(7 << 14 | 8192, true) - 0.5).abs() < 1e-9);
        assert!((new.share(1, false) - 0.5).abs() < 1e-9);
        assert!(Server::of("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n").by_slot);
    }
}

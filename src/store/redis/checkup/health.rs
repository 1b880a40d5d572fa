//! What to think of how servers are at the moment.

use std::collections::HashMap;
use std::time::Duration;

use super::server::{self, ServerInfo};
use super::{Finding, Verdict};
use crate::store::owner_index::MARGIN;
use crate::store::redis::RedisStore;
use crate::store::redis::connection::Opinion;
use crate::store::redis::server_info::Info;
use crate::store::status::Topology;

/// Every request that uses a session waits at least so long.
const SLOW: Duration = Duration::from_millis(100);
/// From this share of memory on there is little, or nothing, left for new sessions, in hundredths.
const LITTLE_LEFT: u64 = 80;
const NOTHING_LEFT: u64 = 95;
/// Clocks that are kept right differ by milliseconds.
const SKEW: Duration = Duration::from_secs(1);

pub(super) fn round_trip(took: Duration) -> Finding {
    let millis = took.as_secs_f64() * 1000.0;
    let (verdict, why) = if took < SLOW {
        (Verdict::Fine, "")
    } else {
        (Verdict::Warning, ": every request that uses a session waits at least that long")
    };
    Finding::new("reachable", verdict, format!("a PING took {millis:.1} ms{why}"))
}

pub(super) fn role(server: &ServerInfo, topology: Topology) -> Finding {
    let finding = |verdict, detail: String| Finding::new("topology", verdict, detail);
    let in_cluster = server.field("cluster_enabled") == Some("1");
    if in_cluster && topology != Topology::Cluster {
        let detail = "it is a node of a Redis Cluster, named like a single server: use `redis-cluster://`";
        return finding(Verdict::Unsafe, detail.to_owned());
    }
    match server.field("role") {
        Some("master") => {}
        Some(other) => {
            let detail = format!("it is a {other}, which takes no writes: name the master, or the sentinels");
            return finding(Verdict::Unsafe, detail);
        }
        None => return finding(Verdict::Unknown, "it does not tell its role".to_owned()),
    }
    let (replicas, known) = (server.online_replicas(), server.number("connected_slaves").unwrap_or(0));
    match (replicas, topology) {
        (0, Topology::Standalone) if known == 0 => finding(Verdict::Fine, "a master without replicas".into()),
        (0, _) => {
            let detail = "a master without a replica in sync: if it fails, no server takes over its sessions";
            finding(Verdict::Warning, detail.to_owned())
        }
        (1, _) => finding(Verdict::Fine, "a master with 1 replica".to_owned()),
        (many, _) => finding(Verdict::Fine, format!("a master with {many} replicas")),
    }
}

pub(super) fn memory(server: &ServerInfo) -> Finding {
    let finding = |verdict, detail| Finding::new("memory", verdict, detail);
    let Some(used) = server.info.used_memory() else {
        return finding(Verdict::Unknown, "it does not tell".to_owned());
    };
    let limit = server.info.memory_limit();
    let (taken, of) = match (limit, server.number("total_system_memory").filter(|all| *all > 0)) {
        (Some(limit), _) => (used, limit),
        // What it took from the machine, which is more than what is in it.
        (None, Some(all)) => (server.number("used_memory_rss").unwrap_or(used), all),
        (None, None) => {
            return finding(Verdict::Fine, format!("{} in use; there is no maxmemory", size(used)));
        }
    };
    let share = taken.saturating_mul(100) / of;
    let detail = match limit {
        Some(_) => format!("{} in use, {share} % of its maxmemory ({})", size(taken), size(of)),
        None => {
            format!(
                "{} resident, {share} % of the machine's {}; there is no maxmemory",
                size(taken),
                size(of)
            )
        }
    };
    match share {
        NOTHING_LEFT.. => finding(Verdict::Unsafe, detail + ": no room for new sessions"),
        LITTLE_LEFT.. => finding(Verdict::Warning, detail + ": little room for new sessions"),
        _ => finding(Verdict::Fine, detail),
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown in four digits")]
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        (size, unit) = (size / 1024.0, unit + 1);
    }
    format!("{size:.1} {}", UNITS[unit])
}

pub(super) fn clock(ahead_millis: Option<i64>) -> Finding {
    let finding = |verdict, detail| Finding::new("clock", verdict, detail);
    let Some(ahead) = ahead_millis else {
        return finding(Verdict::Unknown, "it does not tell the time".to_owned());
    };
    let off = Duration::from_millis(ahead.unsigned_abs());
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let detail = format!("its clock is {:.3} s {side} this machine's", off.as_secs_f64());
    if off > MARGIN {
        let why = "sessions end too early or too late, and ending all of a user's may miss some; use NTP";
        finding(Verdict::Unsafe, format!("{detail}: {why}"))
    } else if off > SKEW {
        finding(Verdict::Warning, format!("{detail}: use NTP on both"))
    } else {
        finding(Verdict::Fine, detail)
    }
}

/// What a node says in `CLUSTER INFO`.
fn cluster(info: &str) -> Finding {
    let info = Info::parse(info);
    let slots = info.field("cluster_slots_ok").unwrap_or("?");
    match info.field("cluster_state") {
        Some("ok") => Finding::new(
            "cluster",
            Verdict::Fine,
            format!("its state is ok, {slots} of 16384 slots are served"),
        ),
        Some(state) => {
            let detail = format!("its state is {state}, {slots} of 16384 slots are served");
            Finding::new("cluster", Verdict::Unsafe, detail)
        }
        None => Finding::new("cluster", Verdict::Unknown, "it does not tell the cluster's state"),
    }
}

impl RedisStore {
    pub(super) async fn cluster_state(&self, servers: &[ServerInfo]) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.connections.are_one_server() {
            return findings;
        }
        for server in servers {
            let mut command = redis::cmd("CLUSTER");
            command.arg("INFO");
            let answer = self.answer_of(&server.at, command).await.map_err(server::into_error);
            findings.push(match answer.map(redis::from_redis_value::<String>) {
                Ok(info) => cluster(&info.unwrap_or_default()).of(server),
                Err(error) => Finding::new("cluster", Verdict::Unsafe, error.to_string()).of(server),
            });
        }
        findings
    }

    /// The setting `save`, which managed services do not tell.
    pub(super) async fn snapshots(&self, server: &ServerInfo) -> Option<String> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("save");
        let answer = self.answer_of(&server.at, command).await.ok()?;
        redis::from_redis_value::<HashMap<String, String>>(answer).ok()?.remove("save")
    }

    /// Whom the servers take this store for.
    pub(super) async fn whoami(&self, servers: &[ServerInfo]) -> Option<String> {
        let address = &servers.first()?.at;
        let mut command = redis::cmd("ACL");
        command.arg("WHOAMI");
        redis::from_redis_value(self.answer_of(address, command).await.ok()?).ok()
    }
}

pub(super) fn sentinels(opinions: &[Opinion]) -> Vec<Finding> {
    let finding = |verdict, detail| Finding::new("sentinels", verdict, detail);
    let mut findings = Vec::new();
    let (mut answered, mut needed) = (0, 0);
    for Opinion { sentinel, fields } in opinions {
        let at = |finding: Finding| Finding { server: Some(sentinel.to_string()), ..finding };
        let fields = match fields {
            Ok(fields) => fields,
            Err(reason) => {
                findings.push(at(finding(Verdict::Warning, format!("it does not answer: {reason}"))));
                continue;
            }
        };
        answered += 1;
        let number = |name: &str| fields.get(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        // A failover takes the votes of a majority, however small the quorum.
        let majority = number("num-other-sentinels").div_ceil(2) + 1;
        needed = needed.max(number("quorum")).max(majority);
        let flags = fields.get("flags").map_or("", String::as_str);
        findings.push(at(if flags.contains("_down") {
            finding(Verdict::Unsafe, format!("it considers the master down ({flags})"))
        } else {
            let (replicas, others) = (number("num-slaves"), number("num-other-sentinels"));
            let detail = format!("it sees the master, {replicas} replicas and {others} other sentinels");
            finding(if replicas == 0 { Verdict::Warning } else { Verdict::Fine }, detail)
        }));
    }
    if opinions.len() < needed {
        let detail =
            format!("a failover needs {needed} of all sentinels: name all of them here to have them checked");
        findings.push(finding(Verdict::Unknown, detail));
    } else if answered < needed {
        let detail =
            format!("{answered} of the sentinels named here answer, and a failover needs {needed} of all");
        findings.push(finding(Verdict::Warning, detail));
    }
    findings
}

#[cfg(test)]
mod tests;

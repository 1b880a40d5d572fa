//! What to think of how a server is set up.

use std::num::ParseIntError;

use super::server::ServerInfo;
use super::{Finding, Verdict};
use crate::store::redis::server_info::Software;

/// `SCAN … TYPE` and what the scripts need came with it.
const OLDEST: u32 = 6;

pub(super) fn version(server: &ServerInfo) -> Finding {
    let finding = |verdict, detail| Finding::new("version", verdict, detail);
    let (Some(version), Some(compatible)) = (server.version(), server.field("redis_version")) else {
        return finding(Verdict::Unknown, "it does not tell its version".to_owned());
    };
    let name = match server.info.software() {
        Software::Redis => format!("Redis {version}"),
        other => format!("{} {version}, compatible with Redis {compatible}", other.as_str()),
    };
    match major(compatible) {
        Ok(major) if major < OLDEST => {
            finding(Verdict::Unsafe, format!("{name} is too old: {OLDEST} is the oldest supported version"))
        }
        Ok(_) => finding(Verdict::Fine, name),
        Err(_) => finding(Verdict::Unknown, format!("{name} is not a version that is known here")),
    }
}

fn major(version: &str) -> Result<u32, ParseIntError> {
    version.split('.').next().unwrap_or_default().parse()
}

pub(super) fn eviction(server: &ServerInfo) -> Finding {
    let finding = |verdict, detail| Finding::new("eviction", verdict, detail);
    let Some(policy) = server.field("maxmemory_policy") else {
        let detail = "it does not tell its maxmemory-policy: make sure that this is `noeviction`".to_owned();
        return finding(Verdict::Unknown, detail);
    };
    let yet = if server.number("maxmemory") == Some(0) { " once a maxmemory is set" } else { "" };
    if policy == "noeviction" {
        finding(Verdict::Fine, "maxmemory-policy is noeviction: no session is evicted".to_owned())
    } else if policy.starts_with("volatile-") {
        let detail = format!(
            "maxmemory-policy is {policy}: when memory is short, sessions end early{yet}, and ending all of a \
             user's may miss some, as the index of owners is evicted too; `noeviction` is safe"
        );
        finding(Verdict::Warning, detail)
    } else if policy.starts_with("allkeys-") {
        let detail = format!(
            "maxmemory-policy is {policy}, that of a cache: live sessions and the index of owners are evicted{yet} \
             to make room for any other key; set `noeviction`, and keep caches in another Redis"
        );
        finding(Verdict::Unsafe, detail)
    } else {
        finding(Verdict::Unknown, format!("maxmemory-policy is {policy}, which is not known here"))
    }
}

/// `snapshots` is the setting `save`, where the server tells.
pub(super) fn persistence(server: &ServerInfo, snapshots: Option<String>) -> Finding {
    let finding = |verdict, detail: &str| Finding::new("persistence", verdict, detail);
    let is = |name: &str, value: &str| server.field(name) == Some(value);
    if is("loading", "1") {
        return finding(Verdict::Unsafe, "it is still loading its data");
    }
    if is("aof_enabled", "1") && is("aof_last_write_status", "err") {
        let detail = "it cannot write its append-only file, and refuses writes: is the disk full?";
        return finding(Verdict::Unsafe, detail);
    }
    let takes_snapshots = match snapshots {
        Some(save) => Some(!save.is_empty()),
        None => server.number("rdb_saves").filter(|saves| *saves > 0).map(|_| true),
    };
    if takes_snapshots != Some(false) && is("rdb_last_bgsave_status", "err") {
        let detail = "its last snapshot failed, so by default it refuses writes: is the disk full?";
        return finding(Verdict::Unsafe, detail);
    }
    if is("aof_enabled", "1") {
        return if is("aof_last_bgrewrite_status", "err") {
            finding(Verdict::Warning, "its append-only file could not be rewritten, and grows")
        } else {
            finding(Verdict::Fine, "an append-only file is written")
        };
    }
    match takes_snapshots {
        Some(true) => {
            finding(Verdict::Fine, "snapshots are taken; a crash loses the changes since the last one")
        }
        Some(false) => {
            let detail = "nothing is written to disk: a restart without a replica signs everybody out";
            finding(Verdict::Warning, detail)
        }
        None if server.field("aof_enabled").is_none() => finding(Verdict::Unknown, "it does not tell"),
        None => {
            let detail =
                "there is no append-only file; whether snapshots are taken, it does not tell this user";
            finding(Verdict::Unknown, detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::server::example;
    use super::*;

    #[test]
    fn versions() {
        for (info, verdict) in [
            ("redis_version:7.0.15", Verdict::Fine),
            ("redis_version:6.0.0", Verdict::Fine),
            ("redis_version:5.0.14", Verdict::Unsafe),
            ("redis_version:7.2.4 valkey_version:8.0.1", Verdict::Fine),
            ("redict_version:7.3.6 redis_version:7.2.4", Verdict::Fine),
            ("redis_version:new", Verdict::Unknown),
            ("", Verdict::Unknown),
        ] {
            assert_eq!(version(&example(info)).verdict, verdict, "{info}");
        }
    }

    #[test]
    fn evictions() {
        for (info, verdict) in [
            ("maxmemory_policy:noeviction maxmemory:0", Verdict::Fine),
            ("maxmemory_policy:volatile-lru maxmemory:1000", Verdict::Warning),
            ("maxmemory_policy:volatile-ttl maxmemory:0", Verdict::Warning),
            ("maxmemory_policy:allkeys-lru maxmemory:1000", Verdict::Unsafe),
            ("maxmemory_policy:allkeys-random maxmemory:0", Verdict::Unsafe),
            ("maxmemory_policy:none", Verdict::Unknown),
            ("", Verdict::Unknown),
        ] {
            let finding = eviction(&example(info));
            assert_eq!(finding.verdict, verdict, "{info}");
            let unlimited = verdict > Verdict::Unknown && info.ends_with("maxmemory:0");
            assert_eq!(finding.detail.contains("once a maxmemory is set"), unlimited, "{info}");
        }
    }

    #[test]
    fn persistences() {
        let (some, none) = (Some("3600 1"), Some(""));
        for (info, snapshots, verdict) in [
            ("aof_enabled:1 aof_last_write_status:ok", none, Verdict::Fine),
            ("aof_enabled:1 aof_last_write_status:err", some, Verdict::Unsafe),
            ("aof_enabled:1 aof_last_bgrewrite_status:err", none, Verdict::Warning),
            ("aof_enabled:0 rdb_last_bgsave_status:ok", some, Verdict::Fine),
            ("aof_enabled:0 rdb_last_bgsave_status:err", some, Verdict::Unsafe),
            ("aof_enabled:0 rdb_last_bgsave_status:err", None, Verdict::Unsafe),
            // A snapshot by hand that failed stops nothing where none are taken by themselves.
            ("aof_enabled:0 rdb_last_bgsave_status:err", none, Verdict::Warning),
            ("aof_enabled:0 rdb_last_bgsave_status:ok", none, Verdict::Warning),
            ("aof_enabled:0 rdb_saves:0", None, Verdict::Unknown),
            ("aof_enabled:0 rdb_saves:4", None, Verdict::Fine),
            ("loading:1 aof_enabled:1", some, Verdict::Unsafe),
            ("", None, Verdict::Unknown),
        ] {
            let finding = persistence(&example(info), snapshots.map(str::to_owned));
            assert_eq!(finding.verdict, verdict, "{info}: {}", finding.detail);
        }
    }
}

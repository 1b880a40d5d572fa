//! What a server says of itself in `INFO` and `CLUSTER INFO`: lines of `name:value`.

use std::collections::HashMap;

/// Which program a server is. Those that come of Redis tell, besides their own version, the one of Redis
/// that they are compatible with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Software {
    Redis,
    Valkey,
    Redict,
}

impl Software {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
            Self::Redict => "Redict",
        }
    }

    /// By what it calls itself to a client.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "redis" => Some(Self::Redis),
            "valkey" => Some(Self::Valkey),
            "redict" => Some(Self::Redict),
            _ => None,
        }
    }

    fn version_field(self) -> &'static str {
        match self {
            Self::Redis => "redis_version",
            Self::Valkey => "valkey_version",
            Self::Redict => "redict_version",
        }
    }
}

/// An answer to `INFO`, of some sections or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Info(HashMap<String, String>);

impl Info {
    pub(super) fn parse(text: &str) -> Self {
        let field = |line: &str| {
            let (name, value) = line.trim_end().split_once(':')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self(text.lines().filter_map(field).collect())
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    pub(super) fn software(&self) -> Software {
        let tells = |software: &Software| self.field(software.version_field()).is_some();
        [Software::Valkey, Software::Redict].into_iter().find(tells).unwrap_or(Software::Redis)
    }

    /// The version of the software.
    pub(super) fn version(&self) -> Option<&str> {
        self.field(self.software().version_field())
    }

    /// The first two numbers of its version.
    pub(super) fn release(&self) -> Option<(u32, u32)> {
        release(self.version()?)
    }

    /// What a server calls itself from its start to its end.
    pub(super) fn run_id(&self) -> Option<&str> {
        self.field("run_id")
    }

    /// Its clock, which Redis before 6.2 does not tell here.
    pub(super) fn unix_micros(&self) -> Option<u64> {
        self.number("server_time_usec")
    }

    /// In bytes.
    pub(super) fn used_memory(&self) -> Option<u64> {
        self.number("used_memory")
    }

    /// In bytes; `None` also where there is no limit.
    pub(super) fn memory_limit(&self) -> Option<u64> {
        self.number("maxmemory").filter(|limit| *limit > 0)
    }

    /// How many keys it has in all its databases.
    pub(super) fn keys(&self) -> u64 {
        self.numbered("db").filter_map(|value| part(value, "keys")?.parse::<u64>().ok()).sum()
    }

    /// How many of its replicas are in step with it.
    pub(super) fn online_replicas(&self) -> usize {
        self.numbered("slave").filter(|value| part(value, "state") == Some("online")).count()
    }

    /// The values of `db0`, `db1` and so on.
    fn numbered(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(move |(name, value)| {
            let number = name.strip_prefix(prefix)?;
            number.bytes().all(|byte| byte.is_ascii_digit()).then_some(value.as_str())
        })
    }
}

/// The first two numbers of a version.
pub(super) fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Of `name=value,name=value`.
fn part<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    value.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_its_fields() {
        let info = Info::parse(
            "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nserver_time_usec:5\r\nused_memory:9\r\n\
             maxmemory:0\r\n# Keyspace\r\ndb0:keys=3,expires=2,avg_ttl=5\r\ndb11:keys=4,expires=0\r\n\
             dbx:keys=9\r\nslave0:ip=10.0.0.2,port=1,state=online,lag=0\r\n\
             slave1:ip=10.0.0.3,port=1,state=wait_bgsave\r\nslave_repl_offset:5\r\n",
        );
        assert_eq!(
            (info.field("maxmemory"), info.memory_limit(), info.used_memory()),
            (Some("0"), None, Some(9))
        );
        assert_eq!((info.run_id(), info.unix_micros()), (Some("abc"), Some(5)));
        assert_eq!((info.keys(), info.online_replicas()), (7, 1));
        assert_eq!((info.field("nothing"), info.number("redis_version")), (None, None));
    }

    #[test]
    fn a_server_goes_by_its_own_name_and_version() {
        for (told, software, version, release) in [
            ("redis_version:6.0.16", Software::Redis, Some("6.0.16"), Some((6, 0))),
            ("redis_version:8.2.3", Software::Redis, Some("8.2.3"), Some((8, 2))),
            ("redis_version:255.255.255", Software::Redis, Some("255.255.255"), Some((255, 255))),
            (
                "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2",
                Software::Valkey,
                Some("9.1.2"),
                Some((9, 1)),
            ),
            ("redict_version:7.3.6\r\nredis_version:7.2.4", Software::Redict, Some("7.3.6"), Some((7, 3))),
            ("redis_version:unstable", Software::Redis, Some("unstable"), None),
            ("", Software::Redis, None, None),
        ] {
            let info = Info::parse(told);
            assert_eq!(
                (info.software(), info.version(), info.release()),
                (software, version, release),
                "{told}"
            );
        }
    }
}

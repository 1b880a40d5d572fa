//! What one server says of itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use redis::Value;

use crate::clock::{Clock as _, SystemClock};
use crate::error::Error;
use crate::store::redis::RedisStore;
use crate::store::redis::connection::{Address, Connection};
use crate::store::redis::failure::{Effect, Failure};
use crate::store::redis::target::Host;

/// What one server says of itself; from [`RedisStore::servers`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// `host:port`, or the path of a socket.
    pub address: String,
    /// How long it took to answer a `PING`.
    pub round_trip: Duration,
    /// How many milliseconds the server's clock is ahead of this machine's (behind it, if negative), to
    /// within the time that asking took; `None` if it does not tell.
    pub clock_ahead_millis: Option<i64>,
    /// Whether it is this machine, as far as the address says so.
    pub(super) is_local: bool,
    pub(super) at: Address,
    info: HashMap<String, String>,
}

impl ServerInfo {
    /// A field of [`INFO`](https://redis.io/docs/latest/commands/info/), such as `redis_version`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.info.get(name).map(String::as_str)
    }

    /// The same as a whole number, such as `used_memory`, in bytes.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    /// How many keys it has in all its databases, also those that are no sessions.
    pub fn keys(&self) -> u64 {
        let databases = self.info.iter().filter(|(name, _)| is_database(name));
        databases.filter_map(|(_, value)| part(value, "keys")?.parse::<u64>().ok()).sum()
    }

    /// How many of its replicas are in step with it.
    pub fn online_replicas(&self) -> usize {
        let is_replica = |name: &str| {
            name.strip_prefix("slave").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let replicas = self.info.iter().filter(|(name, _)| is_replica(name));
        replicas.filter(|(_, value)| part(value, "state") == Some("online")).count()
    }

    pub(super) fn parse(address: &Address, info: &str) -> Self {
        let field = |line: &str| {
            let (name, value) = line.trim_end().split_once(':')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self {
            address: address.to_string(),
            round_trip: Duration::ZERO,
            clock_ahead_millis: None,
            is_local: is_local(address),
            at: address.clone(),
            info: info.lines().filter_map(field).collect(),
        }
    }
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db").is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Of `name=value,name=value`.
fn part<'v>(value: &'v str, name: &str) -> Option<&'v str> {
    value.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

fn is_local(address: &Address) -> bool {
    match address {
        Address::Socket(_) => true,
        Address::Host(Host { name, .. }) => {
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

impl RedisStore {
    pub(super) async fn ask_servers(&self) -> Result<Vec<ServerInfo>, Error> {
        let addresses = match self.connections.address().await.map_err(into_error)? {
            Some(address) => vec![address],
            None => self.masters().await?.into_iter().map(Address::Host).collect(),
        };
        let mut servers = Vec::new();
        for address in addresses {
            servers.push(self.ask_server(&address).await.map_err(into_error)?);
        }
        servers.sort_by(|one, other| one.address.cmp(&other.address));
        Ok(servers)
    }

    async fn ask_server(&self, address: &Address) -> Result<ServerInfo, Failure> {
        let began = Instant::now();
        self.answer_of(address, redis::cmd("PING")).await?;
        let round_trip = began.elapsed();
        let asked_at = SystemClock.now().as_millis();
        let info = self.answer_of(address, redis::cmd("INFO")).await?.extract_error()?;
        let answered_at = SystemClock.now().as_millis();
        let mut server = ServerInfo::parse(address, &redis::from_redis_value::<String>(info)?);
        server.round_trip = round_trip;
        // It was read somewhere in between.
        server.clock_ahead_millis = server.number("server_time_usec").and_then(|micros| {
            let theirs = i64::try_from(micros / 1000).ok()?;
            Some(theirs - i64::try_from(u64::midpoint(asked_at, answered_at)).ok()?)
        });
        Ok(server)
    }

    /// What a server answers, which may be that this user is not allowed to ask: as quickly as another answer.
    pub(super) async fn answer_of(&self, address: &Address, command: redis::Cmd) -> Result<Value, Failure> {
        let node = match address {
            Address::Host(host) => Some(host),
            Address::Socket(_) => None,
        };
        let mut only = redis::pipe();
        only.add_command(command);
        let ask = async |mut connection: Connection| connection.send_all(&only).await;
        match self.connections.run_at(node, ask).await? {
            Value::Array(mut answers) => Ok(answers.pop().unwrap_or(Value::Nil)),
            other => Ok(other),
        }
    }
}

pub(super) fn into_error(failure: Failure) -> Error {
    failure.into_error(Effect::Read)
}

/// A server as a test needs it.
#[cfg(test)]
pub(super) fn example(info: &str) -> ServerInfo {
    let host = Host { name: "10.0.0.1".to_owned(), port: 6379 };
    ServerInfo::parse(&Address::Host(host), &info.replace(' ', "\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_its_fields() {
        let server = example(
            "# Server redis_version:7.0.15 db0:keys=3,expires=2,avg_ttl=5 db11:keys=4,expires=0 dbx:keys=9 \
             slave0:ip=10.0.0.2,port=1,state=online,lag=0 slave1:ip=10.0.0.3,port=1,state=wait_bgsave \
             slave_repl_offset:5 maxmemory:0",
        );
        assert_eq!((server.field("redis_version"), server.number("maxmemory")), (Some("7.0.15"), Some(0)));
        assert_eq!((server.keys(), server.online_replicas()), (7, 1));
        assert_eq!((server.field("nothing"), server.number("redis_version")), (None, None));
        assert_eq!(server.address, "10.0.0.1:6379");
    }

    #[test]
    fn an_address_tells_whether_it_is_this_machine() {
        for (name, local) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("LocalHost", true),
            ("10.0.0.1", false),
            ("redis", false),
            ("localhost.example.com", false),
        ] {
            assert_eq!(is_local(&Address::Host(Host { name: name.to_owned(), port: 1 })), local, "{name}");
        }
        assert!(is_local(&Address::Socket("/tmp/socket".into())));
    }
}

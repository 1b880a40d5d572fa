//! What one server says of itself.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use redis::Value;

use crate::clock::{Clock as _, SystemClock};
use crate::error::Error;
use crate::store::redis::RedisStore;
use crate::store::redis::connection::{Address, Connection};
use crate::store::redis::failure::{Effect, Failure};
use crate::store::redis::server_info::Info;
use crate::store::redis::target::Host;

/// The state of one server, from [`RedisStore::servers`].
///
/// ```no_run
/// # async fn example(store: &session_store::RedisStore) -> Result<(), session_store::Error> {
/// for server in store.servers().await? {
///     println!("{} {} at {}", server.software(), server.version().unwrap_or("?"), server.address);
///     println!("{} keys, {} replicas in sync", server.keys(), server.online_replicas());
///     println!("{:?} bytes in use, policy {:?}", server.number("used_memory"), server.field("maxmemory_policy"));
///     println!("answers in {:?}, clock ahead by {:?} ms", server.round_trip, server.clock_ahead_millis);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// `host:port`, or the path of a socket.
    pub address: String,
    /// The time that a `PING` took.
    pub round_trip: Duration,
    /// Milliseconds by which the server's clock is ahead of this machine's (behind it, if negative), to
    /// within the time that asking took; `None` if it does not tell.
    pub clock_ahead_millis: Option<i64>,
    /// Whether it is this machine, as far as the address says so.
    pub(super) is_local: bool,
    pub(super) at: Address,
    pub(super) info: Info,
}

impl ServerInfo {
    /// A field of [`INFO`](https://redis.io/docs/latest/commands/info/), such as `redis_version`. See the [example](Self).
    pub fn field(&self, name: &str) -> Option<&str> {
        self.info.field(name)
    }

    /// A [field](Self::field) as a whole number, such as `used_memory`, in bytes. See the
    /// [example](Self).
    pub fn number(&self, name: &str) -> Option<u64> {
        self.info.number(name)
    }

    /// The name of its software: `Redis`, `Valkey` or `Redict`. See the [example](Self).
    pub fn software(&self) -> &'static str {
        self.info.software().as_str()
    }

    /// The version of its software. The version of Redis that Valkey and Redict are compatible with is the
    /// [field](Self::field) `redis_version`. See the [example](Self).
    pub fn version(&self) -> Option<&str> {
        self.info.version()
    }

    /// The number of keys in all its databases, whether they are sessions or not. See the
    /// [example](Self).
    pub fn keys(&self) -> u64 {
        self.info.keys()
    }

    /// The number of its replicas that are in sync with it. See the [example](Self).
    pub fn online_replicas(&self) -> usize {
        self.info.online_replicas()
    }

    pub(super) fn parse(address: &Address, info: &str) -> Self {
        Self {
            address: address.to_string(),
            round_trip: Duration::ZERO,
            clock_ahead_millis: None,
            is_local: is_local(address),
            at: address.clone(),
            info: Info::parse(info),
        }
    }
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
        server.clock_ahead_millis = match server.info.unix_micros() {
            Some(theirs) => ahead(theirs, asked_at, answered_at),
            None => self.clock_of(address).await?,
        };
        Ok(server)
    }

    /// By `TIME`, which a user may not be allowed to ask.
    async fn clock_of(&self, address: &Address) -> Result<Option<i64>, Failure> {
        let asked_at = SystemClock.now().as_millis();
        let answer = self.answer_of(address, redis::cmd("TIME")).await?;
        let answered_at = SystemClock.now().as_millis();
        let time = redis::from_redis_value::<(u64, u64)>(answer).ok();
        Ok(time.and_then(|(seconds, micros)| ahead(seconds * 1_000_000 + micros, asked_at, answered_at)))
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

/// How many milliseconds a clock is ahead of this machine's, which was read somewhere between the two.
fn ahead(unix_micros: u64, asked_at: u64, answered_at: u64) -> Option<i64> {
    let ours = i64::try_from(u64::midpoint(asked_at, answered_at)).ok()?;
    Some(i64::try_from(unix_micros / 1000).ok()? - ours)
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
    fn a_server_answers_by_its_fields() {
        let server =
            example("redict_version:7.3.6 redis_version:7.2.4 db0:keys=3 slave0:state=online maxmemory:0");
        assert_eq!((server.software(), server.version()), ("Redict", Some("7.3.6")));
        assert_eq!((server.field("redis_version"), server.number("maxmemory")), (Some("7.2.4"), Some(0)));
        assert_eq!((server.keys(), server.online_replicas()), (3, 1));
        assert_eq!(server.address, "10.0.0.1:6379");
    }

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_asking() {
        assert_eq!(ahead(7_000_999, 1000, 3000), Some(5000));
        assert_eq!(ahead(1_000_000, 1000, 3000), Some(-1000));
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

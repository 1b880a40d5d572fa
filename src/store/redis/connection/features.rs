//! What a server can do that not every server can.

use std::collections::HashMap;

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::store::redis::server_info::{Software, release};

/// Found out once for each connection, since the next one may lead to another server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// `SET key value IFEQ old`.
    pub(super) set_if_equal: bool,
}

impl Features {
    /// By `HELLO`, for which no user needs a permission. Of a server that does not answer it nothing is expected.
    pub(super) async fn of(client: &mut MultiplexedConnection) -> Self {
        let hello = client.send_packed_command(&redis::cmd("HELLO")).await;
        hello.ok().and_then(Self::read).unwrap_or_default()
    }

    fn read(hello: Value) -> Option<Self> {
        let mut fields: HashMap<String, Value> = redis::from_redis_value(hello).ok()?;
        let mut field = |name| redis::from_redis_value::<String>(fields.remove(name)?).ok();
        let since = match Software::named(&field("server")?)? {
            Software::Redis => (8, 4),
            Software::Valkey => (8, 1),
            Software::Redict => return None,
        };
        Some(Self { set_if_equal: release(&field("version")?)? >= since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(server: &str, version: &str) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let fields =
            [("server", server), ("version", version)].map(|(name, value)| (text(name), text(value)));
        Value::Map(fields.into())
    }

    #[test]
    fn a_server_compares_itself_from_some_version_on() {
        for (server, version, set_if_equal) in [
            ("redis", "7.0.15", false),
            ("redis", "8.2.3", false),
            ("redis", "8.4.0", true),
            ("redis", "9.0.0", true),
            ("redis", "255.255.255", true),
            ("valkey", "8.0.9", false),
            ("valkey", "8.1.0", true),
            ("valkey", "9.1.2", true),
        ] {
            let read = Features::read(hello(server, version));
            assert_eq!(read, Some(Features { set_if_equal }), "{server} {version}");
        }
    }

    #[test]
    fn of_a_server_that_is_not_known_nothing_is_expected() {
        for (server, version) in
            [("redict", "9.9.9"), ("other", "9.9.9"), ("redis", "unstable"), ("redis", "")]
        {
            assert_eq!(Features::read(hello(server, version)), None, "{server} {version}");
        }
        assert_eq!(Features::read(Value::Nil), None);
        assert_eq!(Features::read(Value::Map(Vec::new())), None);
    }
}

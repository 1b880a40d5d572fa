//! Why an operation has no result, sorted by what a caller can do about it.

use std::time::Duration;
use std::{fmt, io};

use redis::{ErrorKind, ParsingError, RedisError};

use super::target::Host;
use crate::error::Error;

/// What Redis answers while it cannot serve. It passes, and the operation had no effect.
const PASSING: [&str; 7] =
    ["LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS"];

const NO_HELLO: &str = "the server does not know `HELLO 3`: session-store needs Redis 6.0 or newer (or Valkey), with \
     RESP3; a proxy in between has to pass HELLO on, and an ACL to allow it";
const NO_PLAINTEXT: &str = "the server does not speak plaintext Redis: if it expects TLS, its URL begins with rediss:// \
     (rediss-cluster://, rediss-sentinel://)";
pub(super) const NO_TLS: &str = "the server does not speak TLS, it answers in plaintext: its URL begins with redis:// \
     (redis-cluster://, redis-sentinel://), or it needs TLS switched on";
const CLOSED_UNGREETED: &str = "the server closed the connection when it was greeted: if it expects TLS, its URL \
     begins with rediss://; a proxy in between has to pass HELLO on";

#[derive(Debug)]
pub(super) enum Failure {
    /// There is no connection, for this reason; nothing was sent.
    NotConnected(String),
    /// No answer within this time.
    TimedOut(Duration),
    /// The write is on the master, and too few replicas confirmed it in time.
    NotReplicated { confirmed: i64, wanted: u32 },
    /// The write is on a master, and for this reason it is not known what replicas have of it.
    Unconfirmed(String),
    /// The server can't be used in this way; the words say what to change.
    Unfit(&'static str),
    /// The connection broke, or the server answered with an error.
    Redis(RedisError),
}

/// Where a node of a cluster sends an operation that it did not carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// The slot has another master.
    Moved(Host),
    /// The slot is on its way, and the keys of this operation with it.
    Ask(Host),
    /// Some of the operation's keys have moved already, and others have not.
    TryAgain,
}

/// What a failed operation may have done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Read,
    Write,
}

impl Failure {
    /// Whether the value under the key has a type that a session never has.
    pub(super) fn is_wrong_type(&self) -> bool {
        self.code() == Some("WRONGTYPE")
    }

    /// Whether the key is on its way to another node of the cluster, or there.
    pub(super) fn is_redirection(&self) -> bool {
        matches!(self.code(), Some("MOVED" | "ASK" | "TRYAGAIN"))
    }

    /// Whether the server does not know a script by its hash.
    pub(super) fn is_unknown_script(&self) -> bool {
        self.code() == Some("NOSCRIPT")
    }

    /// Whether the server is a replica (by now).
    pub(super) fn is_read_only(&self) -> bool {
        self.code() == Some("READONLY")
    }

    /// `from` is the node that answered.
    pub(super) fn redirection(&self, from: &Host) -> Option<Redirection> {
        let Self::Redis(error) = self else { return None };
        match error.code()? {
            "TRYAGAIN" => Some(Redirection::TryAgain),
            "ERR" if self.is_key_elsewhere() => Some(Redirection::TryAgain),
            code @ ("MOVED" | "ASK") => {
                let (name, port) = error.redirect_node()?.0.rsplit_once(':')?;
                // A node that does not know its own name means the one that it was asked under.
                let name = if matches!(name, "" | "?") { &from.name } else { name };
                let host = Host { name: name.to_owned(), port: port.parse().ok()? };
                Some(if code == "ASK" { Redirection::Ask(host) } else { Redirection::Moved(host) })
            }
            _ => None,
        }
    }

    /// Whether a script found out by itself that one of its keys is on another node. It had no effect.
    fn is_key_elsewhere(&self) -> bool {
        let words =
            |error: &RedisError| error.detail().is_some_and(|it| it.contains("access a non local key"));
        matches!(self, Self::Redis(error) if words(error))
    }

    /// Whether another node of the cluster may have taken over from the one that failed so.
    pub(super) fn doubts_the_node(&self) -> bool {
        match self {
            Self::NotConnected(_) | Self::TimedOut(_) => true,
            Self::NotReplicated { .. } | Self::Unconfirmed(_) | Self::Unfit(_) => false,
            Self::Redis(_) => self.condemns_connection() || self.code() == Some("CLUSTERDOWN"),
        }
    }

    /// Whether the connection is broken, or leads to a server that is of no use (any more).
    pub(super) fn condemns_connection(&self) -> bool {
        let broken = |error: &RedisError| matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse);
        matches!(self, Self::Redis(error) if broken(error))
            || matches!(self.code(), Some("NOAUTH" | "WRONGPASS"))
    }

    /// Whether the connection was closed, or cut, before the answer.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Redis(error) if error.kind() == ErrorKind::Io && error.is_connection_dropped()
            && !error.is_connection_refusal())
    }

    /// The failure to connect to `address`, which an operator wants to read unless the server
    /// itself says what is wrong.
    pub(super) fn at(self, address: &dyn fmt::Display) -> Self {
        match self {
            answer if answer.was_answered() => answer,
            Self::NotConnected(reason) => Self::NotConnected(format!("{address}: {reason}")),
            silence => Self::NotConnected(format!("{address}: {silence}")),
        }
    }

    /// Why there is no connection, for whoever says by itself that there is none.
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::NotConnected(reason) => reason,
            other => other.to_string(),
        }
    }

    pub(super) fn into_error(self, effect: Effect) -> Error {
        let reason = self.to_string();
        let passing = self.is_key_elsewhere() || self.code().is_some_and(|code| PASSING.contains(&code));
        if self.was_answered() && !passing {
            return Error::Refused { message: reason };
        }
        let without_effect = passing || matches!(self, Self::NotConnected(_));
        Error::Unavailable {
            outcome_unknown: effect == Effect::Write && !without_effect,
            reason,
            source: match self {
                Self::Redis(error) if !passing => Some(error.into()),
                _ => None,
            },
        }
    }

    pub(super) fn was_answered(&self) -> bool {
        self.code().is_some() || matches!(self, Self::Unfit(_))
    }

    /// The same, where a server that was greeted failed so, `over_tls` or not.
    pub(super) fn of_greeting(self, over_tls: bool) -> Self {
        let Self::Redis(error) = &self else { return self };
        let words = error.detail().unwrap_or_default().to_ascii_lowercase();
        let knows_no_hello = match error.code() {
            Some("NOPROTO") => true,
            Some("ERR" | "NOPERM") => {
                words.contains("hello") || words.contains("unknown command") || words.contains("unsupported")
            }
            _ => error.kind() == ErrorKind::RESP3NotSupported,
        };
        if knows_no_hello {
            return Self::Unfit(NO_HELLO);
        }
        match error.kind() {
            // The bytes of a TLS alert.
            ErrorKind::Parse if !over_tls => Self::Unfit(NO_PLAINTEXT),
            ErrorKind::Io if over_tls && error.to_string().contains("InvalidContentType") => {
                Self::Unfit(NO_TLS)
            }
            ErrorKind::Io if self.is_broken() && !over_tls => {
                Self::Redis(io::Error::new(io::ErrorKind::UnexpectedEof, CLOSED_UNGREETED).into())
            }
            _ => self,
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Redis(error) => error.code(),
            _ => None,
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<ParsingError> for Failure {
    fn from(error: ParsingError) -> Self {
        Self::Redis(error.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected(reason) => write!(f, "not connected to Redis ({reason})"),
            Self::TimedOut(limit) => write!(f, "Redis did not answer within {limit:?}"),
            Self::NotReplicated { confirmed, wanted } => {
                write!(
                    f,
                    "the master has the write, but {confirmed} of {wanted} replicas confirmed it in time"
                )
            }
            Self::Unconfirmed(reason) => {
                write!(f, "the master has the write, but no replica was asked to confirm it ({reason})")
            }
            Self::Unfit(words) => f.write_str(words),
            Self::Redis(error) => match (error.code(), error.detail()) {
                (Some(code @ ("MOVED" | "ASK")), _) => {
                    write!(
                        f,
                        "{code}: the server is a node of a Redis Cluster; its URL is redis-cluster://host:port"
                    )
                }
                (Some(code), Some(words)) => {
                    // An unknown command is quoted with its arguments: HELLO's are the password,
                    // SET's the session.
                    let words = words.split(", with args").next().unwrap_or_default();
                    write!(f, "{code} {words}")
                }
                _ => error.fmt(f),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(line: &str) -> Failure {
        let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        Failure::Redis(value.extract_error().unwrap_err())
    }

    fn broken() -> Failure {
        Failure::Redis(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into())
    }

    #[test]
    fn what_passes_is_unavailable_and_had_no_effect() {
        for code in ["LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS"] {
            let error = reply(&format!("{code} for now")).into_error(Effect::Write);
            let Error::Unavailable { outcome_unknown: false, reason, .. } = error else {
                panic!("{code}: {error:?}");
            };
            assert_eq!(reason, format!("{code} for now"));
        }
    }

    #[test]
    fn other_answers_are_refusals_in_the_servers_words() {
        for line in ["OOM command not allowed", "NOAUTH Authentication required.", "ERR boo", "NOPERM no"] {
            let error = reply(line).into_error(Effect::Write);
            assert!(matches!(&error, Error::Refused { message } if message == line), "{error:?}");
        }
    }

    #[test]
    fn silence_leaves_the_outcome_of_writes_unknown() {
        let timed_out = || Failure::TimedOut(Duration::from_millis(500));
        assert!(broken().into_error(Effect::Write).outcome_unknown());
        assert!(timed_out().into_error(Effect::Write).outcome_unknown());
        for failure in [
            broken().into_error(Effect::Read),
            timed_out().into_error(Effect::Read),
            Failure::NotConnected("why".to_owned()).into_error(Effect::Write),
            broken().at(&"localhost:6379").into_error(Effect::Write),
        ] {
            assert!(matches!(failure, Error::Unavailable { outcome_unknown: false, .. }), "{failure:?}");
        }
    }

    #[test]
    fn a_lost_or_useless_server_condemns_the_connection() {
        assert!(broken().condemns_connection());
        assert!(reply("NOAUTH Authentication required.").condemns_connection());
        assert!(!reply("OOM command not allowed").condemns_connection());
        assert!(!reply("LOADING Redis is loading").condemns_connection());
        assert!(!Failure::TimedOut(Duration::ZERO).condemns_connection());
    }

    /// SECURITY 21.
    #[test]
    fn quoted_arguments_are_cut_off() {
        let echo = "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'me' 'hunter2' ";
        let error = reply(echo).at(&"localhost:6379").into_error(Effect::Read);
        assert!(matches!(&error, Error::Refused { message } if message == "ERR unknown command 'HELLO'"));
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn nodes_of_a_cluster_send_elsewhere() {
        let from = Host { name: "10.0.0.1".to_owned(), port: 7000 };
        let host = |name: &str, port| Host { name: name.to_owned(), port };
        for (line, expected) in [
            ("MOVED 3999 10.0.0.2:7001", Some(Redirection::Moved(host("10.0.0.2", 7001)))),
            ("ASK 3999 10.0.0.2:7001", Some(Redirection::Ask(host("10.0.0.2", 7001)))),
            ("MOVED 3999 node.example:7001", Some(Redirection::Moved(host("node.example", 7001)))),
            ("MOVED 3999 fd00::2:7001", Some(Redirection::Moved(host("fd00::2", 7001)))),
            ("MOVED 3999 :7001", Some(Redirection::Moved(host("10.0.0.1", 7001)))),
            ("MOVED 3999 ?:7001", Some(Redirection::Moved(host("10.0.0.1", 7001)))),
            ("MOVED 3999", None),
            ("MOVED 3999 10.0.0.2:x", None),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Some(Redirection::TryAgain)),
            (
                "ERR Script attempted to access a non local key in a cluster node script: x, on @user_script:1.",
                Some(Redirection::TryAgain),
            ),
            ("ERR unknown command", None),
            ("CLUSTERDOWN The cluster is down", None),
        ] {
            assert_eq!(reply(line).redirection(&from), expected, "{line}");
            if expected == Some(Redirection::TryAgain) {
                let error = reply(line).into_error(Effect::Write);
                assert!(matches!(error, Error::Unavailable { outcome_unknown: false, .. }), "{error:?}");
            }
        }
        assert!(reply("CLUSTERDOWN x").doubts_the_node() && broken().doubts_the_node());
        assert!(!reply("LOADING x").doubts_the_node() && !reply("OOM x").doubts_the_node());
        assert!(reply("MOVED 1 a:1").to_string().contains("redis-cluster://"));
    }
}

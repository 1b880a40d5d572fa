//! Why an operation has no result, sorted by what a caller can do about it.

mod answer;

use std::time::Duration;
use std::{fmt, io};

use redis::{ErrorKind, ParsingError, RedisError};

use self::answer::Answer;
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
        match self.code()? {
            "TRYAGAIN" => Some(Redirection::TryAgain),
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
        let passing = self.code().is_some_and(|code| PASSING.contains(&code));
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
        let knows_no_hello = match Answer::of(error) {
            Some(Answer { code: "NOPROTO", .. }) => true,
            Some(Answer { code: "ERR" | "NOPERM", words }) => {
                let words = words.to_ascii_lowercase();
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
            Self::Redis(error) => Some(Answer::of(error)?.code),
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
            Self::Redis(error) => match Answer::of(error) {
                Some(Answer { code: code @ ("MOVED" | "ASK"), .. }) => {
                    write!(
                        f,
                        "{code}: the server is a node of a Redis Cluster; its URL is redis-cluster://host:port"
                    )
                }
                Some(answer) => answer.fmt(f),
                // Redis quotes the arguments of a command that it does not know, and the client takes a quote
                // that is not UTF-8 for the end of the connection.
                None if error.kind() == ErrorKind::Parse => {
                    write!(
                        f,
                        "Redis' answer is unreadable ({error}): is a command renamed or disabled there?"
                    )
                }
                None => error.fmt(f),
            },
        }
    }
}

#[cfg(test)]
mod tests;

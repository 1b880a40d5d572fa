//! A connection on which a server tells of changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{RedisResult, Value};
use tokio::time::timeout;

use crate::store::redis::connection::{Address, Connection};
use crate::store::redis::failure::Failure;
use crate::store::redis::server_info::Info;

/// How long a server may take to let in or to answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(1250);

pub(super) struct Tracker {
    pub(super) address: Address,
    connection: Connection,
    /// What the names of the keys begin with of which it tells.
    prefixes: Vec<Vec<u8>>,
    /// Set when it is closed.
    pub(super) lost: Arc<AtomicBool>,
    /// What the server said of itself when it was asked last.
    pub(super) standing: Standing,
}

/// What a server is asked, so that it shows that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Alive,
    /// Whether it is a master.
    Role,
    /// Whether it is a master that the others of its cluster have not left behind.
    RoleInCluster,
}

/// Whether what a server tells of is all that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Master,
    /// What it tells comes from its master, late or not at all.
    Replica,
    /// It is not known to be all, for this reason.
    Unknown(String),
}

impl Tracker {
    pub(super) fn new(address: Address, connection: Connection, lost: Arc<AtomicBool>) -> Self {
        Self { address, connection, prefixes: Vec::new(), lost, standing: Standing::not_asked() }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Has the server tell of keys with these prefixes, too. Answers whether it does: one that those begin with of which it
    /// tells already takes another connection.
    pub(super) async fn tell_of(&mut self, prefixes: &[Vec<u8>]) -> Result<bool, Failure> {
        let is_told = |prefix: &Vec<u8>| self.prefixes.iter().any(|told| prefix.starts_with(told));
        let more: Vec<_> = prefixes.iter().filter(|prefix| !is_told(prefix)).cloned().collect();
        if more.is_empty() {
            return Ok(true);
        }
        if more.iter().any(|prefix| self.prefixes.iter().any(|told| told.starts_with(prefix))) {
            return Ok(false);
        }
        let mut on = redis::cmd("CLIENT");
        on.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in &more {
            on.arg("PREFIX").arg(prefix);
        }
        let answer = timeout(PATIENCE, self.connection.send(&on)).await;
        answer.unwrap_or(Err(Failure::TimedOut(PATIENCE)))?;
        self.prefixes.extend(more);
        Ok(true)
    }

    /// Has the server answer, which it does after it has told of every change from before.
    pub(super) async fn ask(&mut self, question: Question) -> Result<(), Failure> {
        let mut questions = redis::pipe();
        match question {
            Question::Alive => questions.cmd("PING"),
            Question::Role => questions.cmd("ROLE"),
            Question::RoleInCluster => questions.cmd("ROLE").cmd("CLUSTER").arg("INFO"),
        };
        let answer = timeout(PATIENCE, self.connection.send_all(&questions)).await;
        let Value::Array(answers) = answer.unwrap_or(Err(Failure::TimedOut(PATIENCE)))? else {
            return Err(Failure::NotConnected("it did not answer".to_owned()));
        };
        let standing = Standing::of(answers);
        self.standing = match (question, standing) {
            (Question::Alive, standing) => standing.map(|_| Standing::not_asked())?,
            (_, Ok(standing)) => standing,
            // It is there, and those who watch are told.
            (_, Err(refusal)) => Standing::Unknown(Failure::from(refusal).into_reason()),
        };
        Ok(())
    }
}

impl Standing {
    pub(super) fn not_asked() -> Self {
        Self::Unknown("nobody asked".to_owned())
    }

    /// <https://redis.io/docs/latest/commands/role/>,
    /// <https://redis.io/docs/latest/commands/cluster-info/>
    fn of(answers: Vec<Value>) -> RedisResult<Self> {
        let mut answers = answers.into_iter().map(Value::extract_error);
        let role = match answers.next().transpose()? {
            Some(Value::Array(parts)) => parts.into_iter().next().map(redis::from_redis_value).transpose()?,
            _ => None::<String>,
        };
        let cluster = answers.next().transpose()?.map(redis::from_redis_value::<String>).transpose()?;
        Ok(match (role.as_deref(), cluster.as_deref().map(Info::parse)) {
            (Some("master"), Some(info)) if info.field("cluster_state") != Some("ok") => {
                Self::Unknown("the cluster is down".to_owned())
            }
            (Some("master"), _) => Self::Master,
            (Some(_), _) => Self::Replica,
            (None, _) => Self::not_asked(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> Value {
        Value::Array(vec![Value::BulkString(name.into()), Value::Int(0)])
    }

    fn info(state: &str) -> Value {
        Value::BulkString(format!("cluster_state:{state}\r\ncluster_my_epoch:3\r\n").into())
    }

    #[test]
    fn only_a_master_in_a_cluster_that_works_tells_all() {
        for (answers, is_master) in [
            (vec![role("master")], true),
            (vec![role("master"), info("ok")], true),
            (vec![role("master"), info("fail")], false),
            (vec![role("master"), Value::BulkString(Vec::new())], false),
            (vec![role("slave"), info("ok")], false),
            (vec![Value::Okay], false),
            (Vec::new(), false),
        ] {
            let standing = Standing::of(answers.clone()).unwrap();
            assert_eq!(standing == Standing::Master, is_master, "{answers:?}: {standing:?}");
        }
        assert_eq!(Standing::of(vec![role("slave")]).unwrap(), Standing::Replica);
    }
}

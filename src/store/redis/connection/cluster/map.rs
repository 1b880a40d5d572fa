//! Which node of a cluster serves which slot.

use std::sync::Arc;

use redis::{ErrorKind, RedisError, RedisResult, Value};

use super::super::health::Status;
use super::super::node::Node;
use super::super::poll::Vote;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::store::redis::name::{SLOTS, Slot};
use crate::store::redis::server_info::Info;
use crate::store::redis::target::Host;

/// What is known of a cluster. It is replaced as a whole.
pub(super) struct Map {
    /// For each slot, the index of its node.
    owners: Vec<Option<u16>>,
    nodes: Vec<Arc<Member>>,
    /// How often a node was met that had not been there.
    arrivals: u64,
    since: Timestamp,
}

pub(super) struct Member {
    pub(super) host: Host,
    pub(super) node: Node,
}

/// A part of a node's answer to `CLUSTER SLOTS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: Slot,
    last: Slot,
    pub(super) master: Host,
}

impl Map {
    pub(super) fn empty() -> Self {
        Self {
            owners: vec![None; usize::from(SLOTS)],
            nodes: Vec::new(),
            arrivals: 0,
            since: SystemClock.now(),
        }
    }

    /// What `ranges` say; `members` has one for each master of them.
    pub(super) fn replaced_by(&self, ranges: &[Range], members: Vec<Arc<Member>>) -> Self {
        let arrived = members.iter().filter(|member| self.member(&member.host).is_none()).count();
        let arrivals = self.arrivals + arrived as u64;
        let mut map = Self { nodes: members, arrivals, ..Self::empty() };
        for range in ranges {
            let owner = map.index(&range.master);
            for slot in range.first..=range.last {
                map.owners[usize::from(slot)] = owner;
            }
        }
        map
    }

    /// The same with another member, and with a slot moved to it.
    pub(super) fn with(&self, member: &Arc<Member>, slot: Option<Slot>) -> Self {
        let mut map = Self { owners: self.owners.clone(), nodes: self.nodes.clone(), ..*self };
        if self.member(&member.host).is_none() {
            map.nodes.push(Arc::clone(member));
            map.arrivals += 1;
        }
        if let Some(slot) = slot {
            map.owners[usize::from(slot)] = map.index(&member.host);
        }
        map
    }

    pub(super) fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// Nodes that have slots, and those that can be asked for a session of a slot that is migrating to them.
    pub(super) fn holders(&self) -> Vec<(Host, bool)> {
        let holders = self
            .nodes
            .iter()
            .zip(self.own_slots())
            .filter(|(member, owns)| *owns || member.node.status().connected);
        holders.map(|(member, owns)| (member.host.clone(), owns)).collect()
    }

    /// Of each node, whether it has slots.
    fn own_slots(&self) -> Vec<bool> {
        let mut own = vec![false; self.nodes.len()];
        for owner in self.owners.iter().flatten() {
            own[usize::from(*owner)] = true;
        }
        own
    }

    pub(super) fn owner(&self, slot: Slot) -> Option<&Arc<Member>> {
        self.owners[usize::from(slot)].map(|index| &self.nodes[usize::from(index)])
    }

    pub(super) fn member(&self, host: &Host) -> Option<&Arc<Member>> {
        self.nodes.iter().find(|member| member.host == *host)
    }

    pub(super) fn members(&self) -> &[Arc<Member>] {
        &self.nodes
    }

    /// Whether it says the same as `ranges` do.
    pub(super) fn agrees_with(&self, ranges: &[Range]) -> bool {
        let told = |range: &Range| usize::from(range.last) + 1 - usize::from(range.first);
        let as_told = |range: &Range| {
            (range.first..=range.last)
                .all(|slot| self.owner(slot).is_some_and(|own| own.host == range.master))
        };
        ranges.iter().map(told).sum::<usize>() == self.owners.iter().flatten().count()
            && ranges.iter().all(as_told)
    }

    /// Whether each slot has a master that is connected.
    pub(super) fn status(&self) -> Status {
        let covered = self.owners.iter().all(Option::is_some);
        let coverage = Status { connected: covered, since: self.since };
        let owners = self
            .nodes
            .iter()
            .zip(self.own_slots())
            .filter(|(_, owns)| *owns)
            .map(|(member, _)| member.node.status());
        Status::of_all(owners.chain([coverage]))
    }

    fn index(&self, host: &Host) -> Option<u16> {
        let index = self.nodes.iter().position(|member| member.host == *host)?;
        u16::try_from(index).ok()
    }
}

/// What a node answered, that was asked under the name `asked`, to `CLUSTER SLOTS` and `CLUSTER INFO`.
pub(super) fn vote(answers: Value, asked: &Host) -> RedisResult<Vote<Vec<Range>>> {
    let (slots, info): (Vec<Value>, String) = redis::from_redis_value(answers)?;
    let epoch = Info::parse(&info).number("cluster_current_epoch").unwrap_or(0);
    let ranges: Vec<_> = slots.into_iter().map(|entry| range(entry, asked)).collect::<RedisResult<_>>()?;
    if ranges.is_empty() {
        // It has yet to meet the others, or was sent away by them.
        return Err((ErrorKind::Client, "the node knows of no masters").into());
    }
    Ok(Vote { epoch, opinion: ranges })
}

/// <https://redis.io/docs/latest/commands/cluster-slots/>
fn range(entry: Value, asked: &Host) -> RedisResult<Range> {
    let malformed = || RedisError::from((ErrorKind::UnexpectedReturnType, "malformed CLUSTER SLOTS"));
    let entry: Vec<Value> = redis::from_redis_value(entry)?;
    let [first, last, master] =
        <[Value; 3]>::try_from(entry.into_iter().take(3).collect::<Vec<_>>()).map_err(|_| malformed())?;
    let master: Vec<Value> = redis::from_redis_value(master)?;
    let [name, port] =
        <[Value; 2]>::try_from(master.into_iter().take(2).collect::<Vec<_>>()).map_err(|_| malformed())?;
    let number = |value| u16::try_from(redis::from_redis_value::<i64>(value)?).map_err(|_| malformed());
    let (first, last, port) = (number(first)?, number(last)?, number(port)?);
    if first > last || last >= SLOTS {
        return Err(malformed());
    }
    // A node that does not know its own name means the one that it was asked under.
    let name: Option<String> = redis::from_redis_value(name)?;
    let name = name.filter(|name| !name.is_empty() && name != "?").unwrap_or_else(|| asked.name.clone());
    Ok(Range { first, last, master: Host { name, port } })
}

#[cfg(test)]
mod tests;

//! Who has which slot of a cluster, as one of its nodes sees it.
//!
//! <https://redis.io/docs/latest/commands/cluster-nodes/>

use std::collections::HashMap;

use redis::Value;

use super::slots::SlotSet;
use super::step::unexpected;
use crate::store::redis::failure::Failure;
use crate::store::redis::name::{SLOTS, Slot};
use crate::store::redis::target::Host;

/// A line of `CLUSTER NODES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: String,
    /// It is the node that was asked.
    pub(super) is_self: bool,
    pub(super) is_master: bool,
    has_failed: bool,
    address: Option<Host>,
    hostname: Option<String>,
    slots: Vec<(Slot, Slot)>,
    /// Slots whose keys move to the node of this id, one by one. A node tells of its own only.
    pub(super) migrating: Vec<(Slot, String)>,
    pub(super) importing: Vec<(Slot, String)>,
}

impl Node {
    /// `<id> <host>:<port>@<bus>[,<name>…] <flags> <master> <ping> <pong> <epoch> <link> <slots> …`
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let id = fields.next().filter(|id| is_id(id))?.to_owned();
        let mut address = fields.next()?.split(',');
        let (host_port, _) = address.next()?.split_once('@')?;
        let (name, port) = host_port.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let hostname = address.next().filter(|name| !name.is_empty()).map(str::to_owned);
        let flags: Vec<_> = fields.next()?.split(',').collect();
        let mut node = Self {
            id,
            is_self: flags.contains(&"myself"),
            is_master: flags.contains(&"master"),
            has_failed: flags.contains(&"fail") || flags.contains(&"fail?"),
            address: (!name.is_empty()).then(|| Host { name: name.to_owned(), port }),
            hostname,
            ..Self::default()
        };
        for slots in fields.skip(5).filter(|slots| !slots.is_empty()) {
            let slot = |text: &str| text.parse().ok().filter(|slot| *slot < SLOTS);
            if let Some(open) = slots.strip_prefix('[').and_then(|open| open.strip_suffix(']')) {
                if let Some((moving, to)) = open.split_once("->-") {
                    node.migrating.push((slot(moving)?, to.to_owned()));
                } else {
                    let (moving, from) = open.split_once("-<-")?;
                    node.importing.push((slot(moving)?, from.to_owned()));
                }
            } else {
                let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
                node.slots.push((slot(first)?, slot(last)?));
            }
        }
        Some(node)
    }

    pub(super) fn slots(&self) -> SlotSet {
        self.slots.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    /// The slots whose keys are all here.
    pub(super) fn settled(&self) -> SlotSet {
        let mut slots = self.slots();
        self.migrating.iter().for_each(|(slot, _)| slots.remove(*slot));
        slots
    }
}

#[cfg(test)]
impl Node {
    /// A master as it tells of itself.
    pub(super) fn master(id: &str, slots: &[(Slot, Slot)]) -> Self {
        Self { id: id.to_owned(), is_master: true, slots: slots.to_vec(), ..Self::default() }
    }
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

pub(super) fn parse(answer: Value) -> Result<Vec<Node>, Failure> {
    let text: String = redis::from_redis_value(answer.extract_error()?)?;
    let nodes: Option<Vec<_>> = text.lines().map(Node::parse).collect();
    nodes.ok_or_else(|| unexpected("CLUSTER NODES"))
}

/// The node that was asked, if it is this one, and a master.
pub(super) fn asked<'n>(nodes: &'n [Node], id: &str) -> Option<&'n Node> {
    nodes.iter().find(|node| node.is_self && node.is_master && node.id == id)
}

/// For each slot, the id of the master that has it.
pub(super) fn owners(nodes: &[Node]) -> Vec<Option<&str>> {
    let mut owners = vec![None; usize::from(SLOTS)];
    for node in nodes.iter().filter(|node| node.is_master) {
        for (first, last) in &node.slots {
            if let Some(owned) = owners.get_mut(usize::from(*first)..=usize::from(*last)) {
                owned.fill(Some(node.id.as_str()));
            }
        }
    }
    owners
}

/// Where the masters are, but for those that have failed and were replaced.
pub(super) fn hosts(nodes: &[Node], asked: &Host) -> HashMap<String, Host> {
    // Some clusters are reached by the names of their nodes, and others by their addresses.
    let is_asked_by_name = |node: &Node| node.is_self && node.hostname.as_ref() == Some(&asked.name);
    let by_name = nodes.iter().any(is_asked_by_name);
    let host = |node: &Node| {
        if node.is_self {
            return Some(asked.clone());
        }
        let mut host = node.address.clone()?;
        if let (true, Some(name)) = (by_name, &node.hostname) {
            host.name.clone_from(name);
        }
        Some(host)
    };
    let masters = nodes.iter().filter(|node| node.is_master && !(node.has_failed && node.slots.is_empty()));
    masters.filter_map(|node| Some((node.id.clone(), host(node)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(lines: &[&str]) -> Vec<Node> {
        parse(Value::BulkString(lines.join("\n").into_bytes())).unwrap()
    }

    fn host(name: &str, port: u16) -> Host {
        Host { name: name.to_owned(), port }
    }

    #[test]
    fn a_node_tells_of_its_own_slots_and_of_others() {
        let nodes = nodes(&[
            "aaaa 10.0.0.1:1@9,,x=y myself,master - 0 0 1 connected 0-99 120 [5->-bbbb] [107-<-bbbb]",
            "bbbb 10.0.0.1:2@9 master - 0 0 2 connected 100-119",
            "cccc 10.0.0.1:3@9 slave bbbb 0 0 2 connected",
            "dddd 10.0.0.1:4@9 master,fail - 0 0 0 disconnected",
            "eeee 10.0.0.1:5@9 master,fail? - 0 0 3 connected 200-300",
        ]);
        let own = asked(&nodes, "aaaa").unwrap();
        assert_eq!((own.slots().len(), own.settled().len(), own.settled().contains(5)), (101, 100, false));
        assert_eq!(
            (&*own.migrating, &*own.importing),
            (&[(5, "bbbb".to_owned())][..], &[(107, "bbbb".to_owned())][..])
        );
        assert!(asked(&nodes, "bbbb").is_none());
        let owners = owners(&nodes);
        assert_eq!(
            [5, 110, 120, 150, 250].map(|slot| owners[slot]),
            [Some("aaaa"), Some("bbbb"), Some("aaaa"), None, Some("eeee")]
        );
        let expected =
            [("aaaa", host("seed", 7)), ("bbbb", host("10.0.0.1", 2)), ("eeee", host("10.0.0.1", 5))];
        let expected = expected.map(|(id, host)| (id.to_owned(), host));
        assert_eq!(hosts(&nodes, &host("seed", 7)), expected.into());
    }

    #[test]
    fn names_are_used_where_nodes_are_known_by_them() {
        let nodes = nodes(&[
            "aaaa 10.0.0.1:1@9,a.example myself,master - 0 0 1 connected 0",
            "bbbb 10.0.0.1:2@9,b.example master - 0 0 2 connected 1",
        ]);
        assert_eq!(hosts(&nodes, &host("a.example", 1))["bbbb"], host("b.example", 2));
        assert_eq!(hosts(&nodes, &host("10.0.0.1", 1))["bbbb"], host("10.0.0.1", 2));
    }

    #[test]
    fn malformed_lines_are_errors() {
        for bad in [
            "",
            "x",
            "a b c",
            "aaaa 10.0.0.1:x@2 master - 0 0 1 connected 0",
            "aaaa 10.0.0.1:1@2 master - 0 0 1 connected 16384",
            "aaaa 10.0.0.1:1@2 master - 0 0 1 connected [1]",
            "a;a 10.0.0.1:1@2 master - 0 0 1 connected 1",
        ] {
            assert_eq!(Node::parse(bad), None, "{bad}");
        }
    }
}

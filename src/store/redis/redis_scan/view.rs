//! Who has which slot of a cluster, and which slots are on their way, as all of its nodes together say.
//!
//! <https://redis.io/docs/latest/commands/cluster-nodes/>

use std::collections::{BTreeMap, HashMap};

use redis::Value;

use super::step::unexpected;
use crate::store::redis::connection::Connection;
use crate::store::redis::failure::Failure;
use crate::store::redis::name::{SLOTS, Slot};
use crate::store::redis::target::Host;

/// A master, by its place in a [`View`].
pub(super) type Index = u16;

/// Whose the slots are at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Those that have slots, or are about to.
    pub(super) masters: Vec<Master>,
    /// One for each slot.
    pub(super) owners: Vec<Option<Index>>,
    /// The masters, other than its owner, that a slot moves to, key by key.
    pub(super) importers: BTreeMap<Slot, Vec<Index>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) id: String,
    /// Rises when it takes slots over.
    pub(super) epoch: u64,
}

/// Asks a node whom it knows.
pub(super) async fn ask(mut connection: Connection) -> Result<Value, Failure> {
    connection.send(redis::cmd("CLUSTER").arg("NODES")).await
}

/// What a node said that was asked under this name.
#[derive(Debug)]
pub(super) struct Answer {
    host: Host,
    nodes: Vec<Node>,
}

/// A line of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Node {
    id: String,
    is_self: bool,
    is_master: bool,
    address: Option<Host>,
    hostname: Option<String>,
    epoch: u64,
    slots: Vec<(Slot, Slot)>,
    /// Slots on their way, and the ids of where they go. A node tells of its own only.
    leaving: Vec<(Slot, String)>,
    arriving: Vec<Slot>,
}

impl Answer {
    pub(super) fn new(host: Host, answer: Value) -> Result<Self, Failure> {
        let text: String = redis::from_redis_value(answer)?;
        let nodes: Option<Vec<_>> = text.lines().map(Node::parse).collect();
        Ok(Self { host, nodes: nodes.ok_or_else(|| unexpected("CLUSTER NODES"))? })
    }

    fn own(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is_self)
    }
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
        let epoch = fields.nth(3)?.parse().ok()?;
        let mut node = Self {
            id,
            is_self: flags.contains(&"myself"),
            is_master: flags.contains(&"master"),
            address: (!name.is_empty()).then(|| Host { name: name.to_owned(), port }),
            hostname,
            epoch,
            slots: Vec::new(),
            leaving: Vec::new(),
            arriving: Vec::new(),
        };
        for slots in fields.skip(1).filter(|slots| !slots.is_empty()) {
            let slot = |text: &str| text.parse().ok().filter(|slot| *slot < SLOTS);
            if let Some(open) = slots.strip_prefix('[').and_then(|open| open.strip_suffix(']')) {
                if let Some((leaving, to)) = open.split_once("->-") {
                    node.leaving.push((slot(leaving)?, to.to_owned()));
                } else {
                    node.arriving.push(slot(open.split_once("-<-")?.0)?);
                }
            } else {
                let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
                node.slots.push((slot(first)?, slot(last)?));
            }
        }
        Some(node)
    }
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Where the masters are that nobody has asked yet.
pub(super) fn not_asked(answers: &[Answer]) -> Vec<Host> {
    // Some clusters are reached by the names of their nodes, and others by their addresses.
    let by_name = answers.iter().any(|answer| {
        answer.own().and_then(|own| own.hostname.as_ref()).is_some_and(|name| *name == answer.host.name)
    });
    let mut hosts: Vec<Host> = Vec::new();
    for node in answers.iter().flat_map(|answer| &answer.nodes).filter(|node| node.is_master) {
        if answers.iter().any(|answer| answer.own().is_some_and(|own| own.id == node.id)) {
            continue;
        }
        let Some(mut host) = node.address.clone() else { continue };
        if let (true, Some(name)) = (by_name, &node.hostname) {
            host.name.clone_from(name);
        }
        if !hosts.contains(&host) && !answers.iter().any(|answer| answer.host == host) {
            hosts.push(host);
        }
    }
    hosts
}

impl View {
    /// What they say together, and where the masters are.
    ///
    /// Each knows best of its own slots, and nobody else knows that one is on its way: so every master
    /// that has slots, or gets some, has to have answered.
    pub(super) fn of(answers: &[Answer]) -> Result<(Self, HashMap<String, Host>), Failure> {
        let own: HashMap<&str, (&Node, &Host)> = answers
            .iter()
            .filter_map(|answer| answer.own().map(|own| (own.id.as_str(), (own, &answer.host))))
            .collect();
        let others = |node: &&Node| !own.contains_key(node.id.as_str());
        let hearsay = answers.iter().flat_map(|answer| &answer.nodes).filter(others);
        let all: Vec<_> =
            own.values().map(|(node, _)| *node).chain(hearsay).filter(|node| node.is_master).collect();

        // Of two that claim a slot, the later elected has it.
        let mut claims: Vec<Option<(u64, &str)>> = vec![None; usize::from(SLOTS)];
        for node in &all {
            for slot in node.slots.iter().flat_map(|(first, last)| *first..=*last) {
                let claim = &mut claims[usize::from(slot)];
                *claim = (*claim).max(Some((node.epoch, node.id.as_str())));
            }
        }
        let mut opened: Vec<(Slot, &str)> = Vec::new();
        for node in all.iter().filter(|node| node.is_self) {
            opened.extend(node.arriving.iter().map(|slot| (*slot, node.id.as_str())));
            opened.extend(node.leaving.iter().map(|(slot, to)| (*slot, to.as_str())));
        }
        opened.retain(|(slot, to)| claims[usize::from(*slot)].is_some_and(|(_, owner)| owner != *to));
        opened.sort_unstable();
        opened.dedup();

        let mut ids: Vec<_> = claims.iter().flatten().map(|(_, id)| *id).collect();
        ids.extend(opened.iter().map(|(_, to)| *to));
        ids.sort_unstable();
        ids.dedup();
        let mut hosts = HashMap::new();
        let mut masters = Vec::new();
        for id in &ids {
            let Some((node, host)) = own.get(id) else {
                let silent = format!("the node {id} of the cluster has slots, and does not answer");
                return Err(Failure::NotConnected(silent));
            };
            hosts.insert((*id).to_owned(), (*host).clone());
            masters.push(Master { id: (*id).to_owned(), epoch: node.epoch });
        }
        let index = |id: &str| ids.binary_search(&id).ok().and_then(|index| Index::try_from(index).ok());
        let mut importers = BTreeMap::new();
        for (slot, to) in opened {
            importers.entry(slot).or_insert_with(Vec::new).extend(index(to));
        }
        let owners = claims.iter().map(|claim| claim.and_then(|(_, id)| index(id))).collect();
        Ok((Self { masters, owners, importers }, hosts))
    }

    pub(super) fn id(&self, index: Index) -> &str {
        &self.masters[usize::from(index)].id
    }

    pub(super) fn owner(&self, slot: Slot) -> Option<&str> {
        self.owners[usize::from(slot)].map(|index| self.id(index))
    }

    pub(super) fn importers(&self, slot: Slot) -> Vec<&str> {
        self.importers.get(&slot).into_iter().flatten().map(|index| self.id(*index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaa";
    const B: &str = "bbbb";
    const C: &str = "cccc";

    fn answer(port: u16, lines: &[String]) -> Answer {
        let host = Host { name: "10.0.0.1".to_owned(), port };
        Answer::new(host, Value::BulkString(lines.join("\n").into_bytes())).unwrap()
    }

    fn line(id: &str, port: u16, flags: &str, epoch: u64, slots: &str) -> String {
        format!("{id} 10.0.0.1:{port}@1{port},,x=y {flags} - 0 0 {epoch} connected {slots}").trim().to_owned()
    }

    #[test]
    fn each_node_knows_best_of_its_own_slots() {
        let of_a = answer(
            1,
            &[
                line(A, 1, "myself,master", 1, "0-99 [5->-bbbb] [7-<-bbbb]"),
                line(B, 2, "master", 2, "100-200"),
                line(C, 3, "slave", 2, ""),
            ],
        );
        let unheard = not_asked(std::slice::from_ref(&of_a));
        assert_eq!(unheard, [Host { name: "10.0.0.1".to_owned(), port: 2 }]);
        assert!(View::of(std::slice::from_ref(&of_a)).is_err(), "B has slots and was not asked");
        // B has taken over slot 5 meanwhile, and then A said nothing yet.
        let of_b = answer(
            2,
            &[line(A, 1, "master", 1, "0-4 6-99"), line(B, 2, "myself,master", 3, "5 100-200 [6-<-aaaa]")],
        );
        let (view, hosts) = View::of(&[of_a, of_b]).unwrap();
        assert_eq!((view.owner(4), view.owner(5), view.owner(300)), (Some(A), Some(B), None));
        assert_eq!((view.importers(6), view.importers(5)), (vec![B], vec![]));
        assert_eq!((hosts[A].port, hosts[B].port, hosts.len()), (1, 2, 2));
        assert_eq!(view.masters[1], Master { id: B.to_owned(), epoch: 3 });
    }

    #[test]
    fn a_failed_master_without_slots_need_not_answer() {
        let lines = [line(A, 1, "myself,master", 4, "0-16383"), line(B, 2, "master,fail", 1, "")];
        assert!(View::of(&[answer(1, &lines)]).is_ok());
        // Its former slots count as those of the later elected.
        let lines = [line(A, 1, "myself,master", 4, "0-16383"), line(B, 2, "master,fail", 1, "0-99")];
        assert!(View::of(&[answer(1, &lines)]).is_ok());
    }

    #[test]
    fn names_are_used_where_nodes_are_known_by_them() {
        let mut of_a = answer(1, &[line(A, 1, "myself,master", 1, "0")]);
        of_a.host.name = "a.example".to_owned();
        of_a.nodes[0].hostname = Some("a.example".to_owned());
        of_a.nodes.push(Node::parse(&line(B, 2, "master", 1, "1").replace(",,", ",b.example,")).unwrap());
        assert_eq!(not_asked(&[of_a]), [Host { name: "b.example".to_owned(), port: 2 }]);
    }

    #[test]
    fn malformed_lines_are_errors() {
        for bad in [
            "",
            "x",
            "a b c",
            "aaaa 10.0.0.1:1@2 master - 0 0 x connected 0",
            "aaaa 10.0.0.1:1@2 master - 0 0 1 connected 16384",
            "aaaa 10.0.0.1:1@2 master - 0 0 1 connected [1]",
            "a;a 10.0.0.1:1@2 master - 0 0 1 connected 1",
        ] {
            assert_eq!(Node::parse(bad), None, "{bad}");
        }
    }
}

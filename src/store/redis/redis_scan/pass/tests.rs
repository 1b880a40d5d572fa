//! A model of a cluster whose keys and slots move while it is scanned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::cursor::{LONGEST, NodeCursor, ScanCursor};
use super::*;

const KEYS: u16 = 24;
const SLOTS_USED: u16 = 4;
/// A node's table has so many buckets, which a `SCAN` goes through one or more at a time.
const BUCKETS: u16 = 6;

fn slot_of(key: u16) -> Slot {
    key % SLOTS_USED
}

/// A master with its replica, which has the same, and takes over by a failover.
#[derive(Clone, Debug, Default)]
struct Shard {
    ids: [String; 2],
    master: usize,
    run: u64,
    keys: BTreeSet<u16>,
    /// What it holds to be its own.
    own: BTreeSet<Slot>,
    migrating: BTreeMap<Slot, usize>,
    importing: BTreeMap<Slot, usize>,
    /// What it has heard of the others' slots.
    heard: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    kind: u8,
    slot: Slot,
    shard: usize,
    key: u16,
}

struct Model {
    shards: Vec<Shard>,
    /// Whose each slot is.
    owners: [usize; SLOTS_USED as usize],
    /// Keys that a client would have found at any time so far.
    always: BTreeSet<u16>,
    seen: BTreeSet<u16>,
    events: VecDeque<Event>,
    /// Keys that moved since an open slot is being read.
    moved: Option<BTreeSet<u16>>,
}

impl Model {
    fn new(events: Vec<Event>) -> Self {
        let shards = ["ah", "bg", "cf", "de"]
            .map(|ids| Shard { ids: [ids[..1].to_owned(), ids[1..].to_owned()], ..Shard::default() });
        let always: BTreeSet<_> = (0..KEYS).collect();
        let mut model = Self {
            shards: shards.to_vec(),
            owners: [0, 1, 2, 0],
            seen: BTreeSet::new(),
            events: events.into(),
            moved: None,
            always,
        };
        for key in 0..KEYS {
            model.shards[model.owners[usize::from(slot_of(key))]].keys.insert(key);
        }
        for slot in 0..SLOTS_USED {
            model.shards[model.owners[usize::from(slot)]].own.insert(slot);
        }
        (0..4).for_each(|shard| model.hear(shard));
        model
    }

    fn id(&self, shard: usize) -> String {
        self.shards[shard].ids[self.shards[shard].master].clone()
    }

    /// The gossip arrives.
    fn hear(&mut self, shard: usize) {
        self.shards[shard].heard = self.owners.iter().map(|owner| self.id(*owner)).collect();
        let lost: Vec<_> = self.shards[shard].own.iter().copied().collect();
        for slot in lost.into_iter().filter(|slot| self.owners[usize::from(*slot)] != shard) {
            let shard = &mut self.shards[shard];
            shard.own.remove(&slot);
            shard.migrating.remove(&slot);
            // What it still has of a slot that is another's, it deletes.
            shard.keys.retain(|key| slot_of(*key) != slot);
        }
    }

    fn apply(&mut self, Event { kind, slot, shard, key }: Event) {
        let owner = self.owners[usize::from(slot)];
        let knows = self.shards[owner].own.contains(&slot);
        let target = self.shards[owner].migrating.get(&slot).copied();
        match kind {
            // CLUSTER SETSLOT … IMPORTING, MIGRATING.
            0 if knows && target.is_none() && shard != owner && !self.shards[shard].own.contains(&slot) => {
                self.shards[shard].importing.insert(slot, owner);
                self.shards[owner].migrating.insert(slot, shard);
            }
            // MIGRATE, there and back: a target takes keys while it imports the slot, an owner always.
            1 | 2 => {
                let to = if kind == 1 { target.filter(|to| self.imports(*to, slot)) } else { Some(owner) };
                let from = (0..4).find(|it| Some(*it) != to && self.shards[*it].keys.contains(&key));
                let may =
                    from.is_some_and(|from| if kind == 1 { from == owner } else { self.imports(from, slot) });
                let is_first = self.moved.as_mut().is_none_or(|moved| moved.insert(key));
                if let (true, true, Some(from), Some(to)) = (may, is_first, from, to) {
                    self.shards[from].keys.remove(&key);
                    self.shards[to].keys.insert(key);
                }
            }
            // SETSLOT … NODE at the target; the source hears of it by and by.
            3 => {
                let is_empty = self.shards[owner].keys.iter().all(|key| slot_of(*key) != slot);
                if let Some(to) = target.filter(|to| is_empty && self.imports(*to, slot)) {
                    self.take_over(slot, to);
                }
            }
            // SETSLOT … STABLE.
            4 => drop(self.shards[owner].migrating.remove(&slot)),
            5 => drop(self.shards[shard].importing.remove(&slot)),
            // An atomic migration: the source has its keys until it hears of it.
            6 if knows && target.is_none() && shard != owner && !self.shards[shard].own.contains(&slot) => {
                let keys = self.shards[owner].keys.iter().copied().filter(|key| slot_of(*key) == slot);
                let keys: Vec<_> = keys.collect();
                self.shards[shard].keys.retain(|key| slot_of(*key) != slot);
                self.shards[shard].keys.extend(keys);
                self.take_over(slot, shard);
            }
            7 => self.shards[shard].master ^= 1,
            8 => self.shards[shard].run += 1,
            9 | 10 => self.hear(shard),
            // Half of it: who is no master any more, and not yet who took over.
            11 => {
                let masters: Vec<_> = (0..4).map(|shard| self.id(shard)).collect();
                self.shards[shard]
                    .heard
                    .iter_mut()
                    .filter(|id| !masters.contains(id))
                    .for_each(String::clear);
            }
            _ => {}
        }
        let always = self.always.iter().copied().filter(|key| self.is_found(*key)).collect();
        self.always = always;
    }

    /// Whether a client finds it, which asks the owner of its slot, and is sent on to the target.
    fn is_found(&self, key: u16) -> bool {
        let slot = slot_of(key);
        let owner = &self.shards[self.owners[usize::from(slot)]];
        let target = owner.migrating.get(&slot).filter(|to| self.imports(**to, slot));
        owner.keys.contains(&key) || target.is_some_and(|to| self.shards[*to].keys.contains(&key))
    }

    fn imports(&self, shard: usize, slot: Slot) -> bool {
        self.shards[shard].importing.contains_key(&slot)
    }

    fn take_over(&mut self, slot: Slot, to: usize) {
        self.owners[usize::from(slot)] = to;
        self.shards[to].own.insert(slot);
        self.shards[to].importing.remove(&slot);
    }

    /// Some events happen between two requests.
    fn gap(&mut self, most: usize) {
        for _ in 0..most.min(self.events.len()) {
            if let Some(event) = self.events.pop_front() {
                self.apply(event);
            }
        }
    }

    /// `CLUSTER NODES`, asked of the node of this id.
    fn nodes(&self, id: &str) -> Vec<Node> {
        let index = self.shards.iter().position(|shard| shard.ids.iter().any(|it| it == id)).unwrap();
        let shard = &self.shards[index];
        let slots = |is_in: &dyn Fn(Slot) -> bool| -> Vec<_> {
            (0..SLOTS_USED).filter(|slot| is_in(*slot)).map(|slot| (slot, slot)).collect()
        };
        let mut own = Node::master(id, &slots(&|slot| shard.own.contains(&slot)));
        own.is_self = true;
        own.is_master = self.id(index) == id;
        own.migrating = shard.migrating.iter().map(|(slot, to)| (*slot, self.id(*to))).collect();
        let others: BTreeSet<_> = shard.heard.iter().filter(|it| *it != id && !it.is_empty()).collect();
        let theirs = |other: &String| {
            let is_theirs = |slot: Slot| {
                shard.heard[usize::from(slot)] == *other && !(own.is_master && shard.own.contains(&slot))
            };
            Node::master(other, &slots(&is_theirs))
        };
        let mut nodes: Vec<_> = others.into_iter().map(theirs).collect();
        nodes.push(own);
        nodes
    }

    fn shard(&self, id: &str) -> Option<usize> {
        (0..4).find(|shard| self.id(*shard) == id)
    }

    /// As `page_in_cluster` does it. Answers whether there is a next page.
    fn page(&mut self, pass: &mut Pass, at: &mut (u64, u16), size: u16) -> Result<bool, Error> {
        let nodes = self.nodes(&pass.node);
        let (Some(own), Some(shard)) = (topology::asked(&nodes, &pass.node), self.shard(&pass.node)) else {
            return self.go_on(pass, at, &nodes);
        };
        if pass.kept.is_none() {
            let Some(way) = pass.open_slot(own) else { return self.go_on(pass, at, &nodes) };
            let is_seen = self.read_open_slot(pass, shard, &way);
            if is_seen && pass.open_slot(own).is_some() {
                return Ok(true);
            }
            return self.go_on(pass, at, &nodes);
        }
        if at.0 != self.shards[shard].run {
            *at = (self.shards[shard].run, 0);
        }
        pass.observe(own, at.1 == 0);
        let buckets = at.1..BUCKETS.min(at.1 + size);
        at.1 = buckets.end;
        self.seen.extend(self.shards[shard].keys.iter().filter(|key| buckets.contains(&(*key % BUCKETS))));
        let mut nodes = nodes;
        if at.1 == BUCKETS {
            self.gap(1);
            nodes = self.nodes(&pass.node);
            match topology::asked(&nodes, &pass.node) {
                Some(own) => pass.observe(own, false),
                None => return self.go_on(pass, at, &nodes),
            }
        }
        if at.1 < BUCKETS && !pass.has_kept_nothing() {
            return Ok(true);
        }
        pass.finish_iteration();
        let own = topology::asked(&nodes, &pass.node);
        if own.and_then(|own| pass.open_slot(own)).is_some() {
            return Ok(true);
        }
        self.go_on(pass, at, &nodes)
    }

    fn read_open_slot(&mut self, pass: &mut Pass, source: usize, way: &(Slot, String)) -> bool {
        let Some(target) = self.shard(&way.1) else { return false };
        let mut said = Vec::new();
        self.moved = Some(BTreeSet::new());
        for shard in [source, target, source] {
            self.seen.extend(self.shards[shard].keys.iter().filter(|key| slot_of(**key) == way.0));
            said.push((self.nodes(&self.id(shard)), self.id(shard)));
            self.gap(2);
        }
        self.moved = None;
        let [source, target] = [0, 1].map(|nth| topology::asked(&said[nth].0, &said[nth].1));
        pass.finish_open_slot(
            way,
            source.filter(|node| node.id == pass.node),
            target.filter(|node| node.id == way.1),
        )
    }

    fn go_on(&mut self, pass: &mut Pass, at: &mut (u64, u16), nodes: &[Node]) -> Result<bool, Error> {
        *at = (0, 0);
        if pass.next_node(nodes) {
            return Ok(true);
        }
        if pass.unseen.is_empty() {
            return Ok(false);
        }
        for nth in 1..=3 {
            self.gap(1);
            let seer = self.events.front().map_or(0, |event| event.shard);
            // By then everybody has heard.
            if nth == 3 || self.events.is_empty() {
                self.hear(seer);
            }
            if pass.next_pass(&self.nodes(&self.id(seer)))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    // Most of all, keys of open slots move.
    let kind = prop_oneof![3 => Just(0), 12 => Just(1_u8), 4 => Just(2), 4 => Just(3), 11 => 4..14_u8];
    let event = (kind, 0..KEYS, 0..4_usize);
    let event = event.prop_map(|(kind, key, shard)| Event { kind, slot: slot_of(key), shard, key });
    prop::collection::vec(event, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_there_all_the_time_is_seen(
        before in events(),
        events in events(),
        gaps in prop::collection::vec((0..6_usize, 1..4_u16), 1..20),
    ) {
        let mut model = Model::new(before);
        model.gap(usize::MAX);
        (0..4).for_each(|shard| model.hear(shard));
        model.always = (0..KEYS).filter(|key| model.is_found(*key)).collect();
        model.events = events.into();
        let mut pass = Pass::first(&model.nodes(&model.id(0))).unwrap();
        let (mut at, mut calm_pages, mut gaps) = ((0, 0), 0, gaps.into_iter().cycle());
        loop {
            let (gap, size) = gaps.next().unwrap();
            model.gap(gap);
            let has_ended = model.events.is_empty();
            if has_ended {
                (0..4).for_each(|shard| model.hear(shard));
                calm_pages += 1;
            }
            let calm_before = pass.number <= MOST_PASSES - 2;
            match model.page(&mut pass, &mut at, size) {
                Ok(true) => prop_assert!(calm_pages < 200, "it goes on: {pass:?}"),
                Ok(false) => break,
                // It gives up where slots keep moving, and not otherwise.
                Err(_) => {
                    prop_assert!(!has_ended || !calm_before);
                    return Ok(());
                }
            }
        }
        let missed: Vec<_> = model.always.difference(&model.seen).collect();
        prop_assert!(missed.is_empty(), "{missed:?}");
    }
}

/// A thousand masters, whose slots are in one piece, or in as many as there are slots.
#[test]
fn cursors_of_a_large_cluster_are_short_all_the_way() {
    const MASTERS: u16 = 1000;
    for scattered in [false, true] {
        let owner = |slot: Slot| if scattered { slot % MASTERS } else { slot / (SLOTS / MASTERS + 1) };
        // In another order than their slots.
        let id = |master: u16| format!("{:040x}", u64::from(master) * 2_654_435_761 % 4_294_967_296);
        let mut slots: BTreeMap<String, Vec<(Slot, Slot)>> = BTreeMap::new();
        (0..SLOTS).for_each(|slot| slots.entry(id(owner(slot))).or_default().push((slot, slot)));
        let nodes: Vec<_> = slots.iter().map(|(id, slots)| Node::master(id, slots)).collect();
        let mut pass = Pass::first(&nodes).unwrap();
        let (mut scanned, mut longest) = (0, 0);
        loop {
            let own = nodes.iter().find(|node| node.id == pass.node).unwrap();
            pass.observe(own, true);
            let node = NodeCursor { run_id: "f".repeat(40), cursor: u64::MAX };
            let cursor = ScanCursor { part: 'n', node, pass: Some(pass.clone()) };
            longest = longest.max(cursor.to_string().len());
            assert_eq!(ScanCursor::parse(&cursor.to_string()), Some(cursor), "nothing is left out");
            pass.finish_iteration();
            scanned += 1;
            if !pass.next_node(&nodes) {
                break;
            }
        }
        assert!(scanned == nodes.len() && pass.unseen.is_empty() && longest <= LONGEST, "{longest}");
    }
}

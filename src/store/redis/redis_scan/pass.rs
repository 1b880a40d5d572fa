//! Which nodes of a cluster to scan, and which slots that leaves to be looked for.
//!
//! `SCAN` returns each key that is on a node at every call of an iteration. Where the key is between two
//! calls makes no difference. A client finds a session only on the node that has its slot or, if that node
//! says that the slot is migrating, on the target. So this holds:
//!
//! - **A slot is seen if its node had it, not migrating, at every call of a whole iteration.** All of its
//!   sessions were there at each call. The slot may have been elsewhere between two calls, and the cursor
//!   may have been kept for a day. An atomic migration (Valkey 9, Redis 8.4) is no exception: the source
//!   keeps all keys until the target has the slot.
//! - **A migrating slot is seen by reading its keys from the source, the target and the source again**, if
//!   the source says first that the slot is on that way, and the target that it has not arrived. A key that
//!   none of the reads shows moved back to the source and forth again within milliseconds.
//! - **A node that is replaced proves nothing.** What it had counts only at the end of its iteration. Its
//!   successor has another id, and the same node started again has another run id.
//!
//! A slot that is seen stays so, whatever becomes of it. A pass goes through the nodes in the order of their
//! ids, as far as they have slots that are not seen. What moved behind it is left to the next pass. So the
//! scan ends, unless a slot moves during each scan of its node; then it ends by [`MOST_PASSES`].
//!
//! Each node is asked for its own slots, so no other node has to know of a move yet. Which node is next is
//! asked of the one before; at the beginning of a pass, of one that is in touch with a majority. So a former
//! master that was cut off before the scan began is passed by. One that was cut off later still has all keys
//! that were there when the scan began.

use super::slots::SlotSet;
use super::topology::{self, Node};
use crate::error::Error;
use crate::store::redis::name::{SLOTS, Slot};

/// So many passes are made over slots that keep moving.
pub(super) const MOST_PASSES: u32 = 10;

/// One pass over the nodes that have slots that were not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) number: u32,
    /// The id of the node that is being scanned.
    pub(super) node: String,
    pub(super) unseen: SlotSet,
    /// Which of them the node has had at every call so far. `None` once it was scanned, and only slots that
    /// are migrating from it remain.
    pub(super) kept: Option<SlotSet>,
}

impl Pass {
    /// `None` if no node has a slot.
    pub(super) fn first(nodes: &[Node]) -> Option<Self> {
        let mut pass = Self { number: 1, node: String::new(), unseen: SlotSet::ALL, kept: None };
        pass.next_node(nodes).then_some(pass)
    }

    /// Takes in what the node says of itself before a call, and after the last one.
    pub(super) fn observe(&mut self, own: &Node, is_first: bool) {
        let mut kept = match self.kept.take() {
            Some(kept) if !is_first => kept,
            _ => self.unseen.clone(),
        };
        kept.keep(&own.settled());
        self.kept = Some(kept);
    }

    /// Whether there is nothing to be gained by going on with the iteration.
    pub(super) fn has_kept_nothing(&self) -> bool {
        self.kept.as_ref().is_none_or(SlotSet::is_empty)
    }

    /// The iteration is over.
    pub(super) fn finish_iteration(&mut self) {
        if let Some(kept) = self.kept.take() {
            self.unseen.remove_all(&kept);
        }
    }

    /// A slot that migrates from the node, and its target.
    pub(super) fn open_slot(&self, own: &Node) -> Option<(Slot, String)> {
        own.migrating.iter().find(|(slot, _)| self.unseen.contains(*slot)).cloned()
    }

    /// Its keys were read from the source, the target and the source again, and this is what the first two
    /// said then. Answers whether it is seen.
    pub(super) fn finish_open_slot(
        &mut self,
        way: &(Slot, String),
        source: Option<&Node>,
        target: Option<&Node>,
    ) -> bool {
        let (Some(source), Some(target)) = (source, target) else { return false };
        // Once the target has it, it may send the keys on.
        let seen = source.migrating.contains(way) && !target.slots().contains(way.0);
        if seen {
            self.unseen.remove(way.0);
        }
        seen
    }

    /// Goes on to the next node of this pass, as these are.
    pub(super) fn next_node(&mut self, nodes: &[Node]) -> bool {
        let owners = topology::owners(nodes);
        let ahead = self.unseen.iter().filter_map(|slot| owners[usize::from(slot)]);
        let next = ahead.filter(|id| *id > self.node.as_str()).min().map(str::to_owned);
        let Some(next) = next else { return false };
        (self.node, self.kept) = (next, Some(SlotSet::NONE));
        true
    }

    /// Goes on to the next pass, unless none of these nodes has a slot that was not seen.
    pub(super) fn next_pass(&mut self, nodes: &[Node]) -> Result<bool, Error> {
        self.node.clear();
        if !self.next_node(nodes) {
            return Ok(false);
        }
        self.number += 1;
        if self.number > MOST_PASSES {
            let reason = format!(
                "slots of the Redis Cluster keep moving, or cannot be followed to where they move: after \
                 {MOST_PASSES} passes, sessions of {} of them may have been missed, such as those of slot {}",
                self.unseen.len(),
                self.unseen.iter().next().unwrap_or_default()
            );
            return Err(Error::unavailable(reason, None));
        }
        Ok(true)
    }

    /// About which share of the slots is behind, with such a share of the node.
    #[expect(clippy::cast_precision_loss, reason = "there are 16,384 slots")]
    pub(super) fn progress(&self, nodes: &[Node], share: f64) -> f64 {
        let owners = topology::owners(nodes);
        let is_ahead = |slot: &Slot| owners[usize::from(*slot)].is_some_and(|id| id > self.node.as_str());
        let ahead = self.unseen.iter().filter(is_ahead).count() as f64;
        let kept = self.kept.as_ref().map_or(0, SlotSet::len) as f64;
        1.0 - (ahead + kept * (1.0 - share)) / f64::from(SLOTS)
    }
}

#[cfg(test)]
mod tests;

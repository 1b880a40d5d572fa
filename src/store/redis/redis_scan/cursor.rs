//! How far a scan got, and its form as the text of a cursor.
//!
//! `r2;<part>;<run id>@<node's own cursor>` on one server. In a cluster there follows
//! `;<pass>;<node>;<unseen slots>;<kept slots, or "open">`.

use std::fmt;

use super::pass::{MOST_PASSES, Pass};
use super::slots::SlotSet;
use super::topology::is_id;

/// The longest text. It fits whatever the number of masters, as it names but one: the slots that were not
/// seen yet take 2,733 characters at most, and of the node's there are as many as there is room for.
pub(super) const LONGEST: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScanCursor {
    /// The letter of the keyspace that it is in.
    pub(super) part: char,
    pub(super) node: NodeCursor,
    /// In a cluster.
    pub(super) pass: Option<Pass>,
}

/// How far a server was scanned: its cursor, which is of no use to any other process, not even the same
/// server started again.
/// <https://github.com/valkey-io/valkey/issues/4>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeCursor {
    /// What a server calls itself from its start to its end.
    pub(super) run_id: String,
    pub(super) cursor: u64,
}

impl NodeCursor {
    /// Where a server begins, and where it ends.
    pub(super) fn is_start(&self) -> bool {
        self.cursor == 0
    }
}

impl ScanCursor {
    /// `None` for a text that is no cursor. It may come from anywhere.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let fields: Vec<_> = text.splitn(8, ';').collect();
        let ["r2", part, node, cluster @ ..] = fields.as_slice() else { return None };
        let part = part.parse().ok().filter(char::is_ascii_lowercase)?;
        let (run_id, cursor) = node.split_once('@')?;
        if !run_id.is_empty() && !is_id(run_id) {
            return None;
        }
        let node = NodeCursor { run_id: run_id.to_owned(), cursor: cursor.parse().ok()? };
        let pass = match *cluster {
            [] => None,
            [number, id, unseen, kept] => Some(Pass {
                number: number.parse().ok().filter(|number| (1..=MOST_PASSES).contains(number))?,
                node: Some(id).filter(|id| is_id(id))?.to_owned(),
                unseen: SlotSet::parse(unseen)?,
                kept: if kept == "open" { None } else { Some(SlotSet::parse(kept)?) },
            }),
            _ => return None,
        };
        Some(Self { part, node, pass })
    }
}

impl fmt::Display for ScanCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("r2;{};{}@{}", self.part, self.node.run_id, self.node.cursor);
        if let Some(Pass { number, node, unseen, kept }) = &self.pass {
            text = format!("{text};{number};{node};{unseen};");
            text += &match kept {
                // What is left out is looked for again.
                Some(kept) => kept.shortened(LONGEST - text.len()).to_string(),
                None => "open".to_owned(),
            };
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests;

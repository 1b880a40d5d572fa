//! How far a scan got, and its form as the text of a cursor.
//!
//! `r1;<part>;<run id>;<cursor>` on one server. In a cluster there follow
//! `;<pass>;<nodes done>;<masters>;<owners>;<importers>;<needs>;<queue>;<skipped>`: masters by their id and
//! epoch, all else by their index among these; owners and needs as runs of slots.

use std::collections::BTreeMap;
use std::fmt;

use super::passes::{self, Need};
use super::step::Spot;
use super::view::{Index, Master, View, is_id};
use crate::error::Error;
use crate::store::redis::name::{SLOTS, Slot};

/// The longest text that is read: every slot by itself, and on its way.
const LONGEST: usize = 512 * 1024;
/// The largest cluster that is advised has 1,000 nodes.
const MOST_MASTERS: usize = 1024;
/// So many passes are made over nodes that slots keep moving to.
const MOST_PASSES: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tour {
    One { part: char, spot: Spot },
    Cluster { part: char, round: Round, spot: Spot },
}

/// One pass over some nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    pass: u32,
    /// How many nodes are behind, of all passes.
    done: u32,
    /// As it was when this pass began.
    view: View,
    needs: Vec<Need>,
    /// The nodes ahead; the first one is being scanned.
    queue: Vec<Index>,
    skipped: Vec<Index>,
}

impl Round {
    pub(super) fn first(view: View) -> Self {
        let needs = vec![Need::All; usize::from(SLOTS)];
        let queue = passes::queue(&needs, &view);
        Self { pass: 1, done: 0, view, needs, queue, skipped: Vec::new() }
    }

    /// The id of the node that is being scanned.
    pub(super) fn present(&self) -> Option<&str> {
        self.queue.first().map(|index| self.view.id(*index))
    }

    pub(super) fn finish_node(&mut self) {
        if !self.queue.is_empty() {
            self.queue.remove(0);
            self.done = self.done.saturating_add(1);
        }
    }

    /// Goes on without a node.
    pub(super) fn skip(&mut self) {
        self.skipped.extend(self.queue.first());
        self.finish_node();
    }

    /// The next pass, now that the cluster is like this; or there is none.
    pub(super) fn next(&mut self, now: View) -> Result<bool, Error> {
        self.needs = passes::after(&self.view, &self.needs, &self.skipped, &now);
        self.queue = passes::queue(&self.needs, &now);
        self.skipped.clear();
        self.view = now;
        self.pass += 1;
        if self.queue.is_empty() {
            return Ok(false);
        }
        if self.pass > MOST_PASSES {
            let reason = format!(
                "the same slots of the Redis Cluster keep moving: after {MOST_PASSES} passes there are \
                 still some of which sessions may have been missed"
            );
            return Err(Error::unavailable(reason, None));
        }
        Ok(true)
    }

    /// About how much is done, with such a share of the present node.
    #[expect(clippy::cast_precision_loss, reason = "it is about so much")]
    pub(super) fn progress(&self, share: f64) -> f64 {
        let all = f64::from(self.done) + self.queue.len() as f64;
        if all == 0.0 { 1.0 } else { (f64::from(self.done) + share) / all }
    }
}

impl Tour {
    pub(super) fn part(&self) -> char {
        match self {
            Self::One { part, .. } | Self::Cluster { part, .. } => *part,
        }
    }

    /// `None` for a text that is no cursor. It may come from anywhere.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let fields: Vec<_> = text.splitn(13, ';').collect();
        let ["r1", part, run_id, cursor, cluster @ ..] = fields.as_slice() else { return None };
        let part = part.parse().ok()?;
        if !run_id.is_empty() && !is_id(run_id) {
            return None;
        }
        let spot = Spot { run_id: (*run_id).to_owned(), cursor: cursor.parse().ok()? };
        match *cluster {
            [] => Some(Self::One { part, spot }),
            [pass, done, masters, owners, importers, needs, queue, skipped] => {
                let masters: Vec<_> = list(masters, ',', master)?;
                let index = |text: &str| {
                    text.parse().ok().filter(|index: &Index| usize::from(*index) < masters.len())
                };
                let owner = |text: &str| if text == "-" { Some(None) } else { index(text).map(Some) };
                let importing = |text: &str| {
                    let (slot, to) = text.split_once('>')?;
                    let slot = slot.parse().ok().filter(|slot: &Slot| *slot < SLOTS)?;
                    Some((slot, list(to, '+', index)?))
                };
                let importers: BTreeMap<_, _> = list(importers, ',', importing)?.into_iter().collect();
                let (queue, skipped) = (list(queue, ',', index)?, list(skipped, ',', index)?);
                let (owners, needs) = (runs(owners, owner)?, runs(needs, need)?);
                let (pass, done) = (pass.parse().ok()?, done.parse().ok()?);
                // Without a node there is nothing to go on with.
                let plausible = (1..=masters.len()).contains(&queue.len())
                    && skipped.len() <= masters.len()
                    && masters.len() <= MOST_MASTERS
                    && (1..=MOST_PASSES).contains(&pass);
                if !plausible {
                    return None;
                }
                let view = View { masters, owners, importers };
                let round = Round { pass, done, view, needs, queue, skipped };
                Some(Self::Cluster { part, round, spot })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Tour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::One { part, spot } | Self::Cluster { part, spot, .. }) = self;
        write!(f, "r1;{part};{};{}", spot.run_id, spot.cursor)?;
        let Self::Cluster { round: Round { pass, done, view, needs, queue, skipped }, .. } = self else {
            return Ok(());
        };
        write!(f, ";{pass};{done};")?;
        write_list(f, ',', &view.masters, |f, it| write!(f, "{}@{}", it.id, it.epoch))?;
        f.write_str(";")?;
        write_runs(f, &view.owners, |f, owner| match owner {
            Some(index) => write!(f, "{index}"),
            None => f.write_str("-"),
        })?;
        f.write_str(";")?;
        write_list(f, ',', &view.importers, |f, (slot, to)| {
            write!(f, "{slot}>")?;
            write_list(f, '+', *to, |f, index| write!(f, "{index}"))
        })?;
        f.write_str(";")?;
        write_runs(f, needs, |f, need| f.write_str(letter(*need)))?;
        for indices in [queue, skipped] {
            f.write_str(";")?;
            write_list(f, ',', indices, |f, index| write!(f, "{index}"))?;
        }
        Ok(())
    }
}

fn letter(need: Need) -> &'static str {
    match need {
        Need::Nothing => "n",
        Need::Moved => "m",
        Need::All => "a",
    }
}

fn need(text: &str) -> Option<Need> {
    [Need::Nothing, Need::Moved, Need::All].into_iter().find(|need| letter(*need) == text)
}

fn master(text: &str) -> Option<Master> {
    let (id, epoch) = text.split_once('@')?;
    is_id(id).then_some(Master { id: id.to_owned(), epoch: epoch.parse().ok()? })
}

fn list<T>(text: &str, separator: char, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    // Of an empty text there would be one empty part.
    if text.is_empty() { Some(Vec::new()) } else { text.split(separator).map(item).collect() }
}

/// `<length>x<what>`, for all slots together.
fn runs<T: Clone>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(usize::from(SLOTS));
    for run in text.split(',') {
        let (length, what) = run.split_once('x')?;
        let length: usize = length.parse().ok()?;
        if length > usize::from(SLOTS) - all.len() {
            return None;
        }
        all.resize(all.len() + length, item(what)?);
    }
    (all.len() == usize::from(SLOTS)).then_some(all)
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    separator: char,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (nth, item) in items.into_iter().enumerate() {
        if nth > 0 {
            write!(f, "{separator}")?;
        }
        write(f, &item)?;
    }
    Ok(())
}

fn write_runs<T: PartialEq>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    write: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    write_list(f, ',', items.chunk_by(|one, next| one == next), |f, run| {
        write!(f, "{}x", run.len())?;
        write(f, &run[0])
    })
}

#[cfg(test)]
mod tests;

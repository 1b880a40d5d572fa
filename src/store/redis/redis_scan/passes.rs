//! Which nodes of a cluster have to be scanned, and which again because slots moved meanwhile.
//!
//! `SCAN` sees each key that is on a node all the time. A key that is moved from A to B is on one of them
//! at each moment, and yet neither sees it if B is scanned before and A after that. So after a pass over
//! the nodes the cluster is looked at again:
//!
//! - Of a slot that stayed where it was, everything was seen. It is done, whatever happens to it later.
//! - Of a slot that is on its way from A to B, everything was seen that is on A still. What has gone over
//!   may not have been, and is on B by now: once B was scanned from here on, the slot is done, though it
//!   may not have arrived.
//! - Of a slot that has another owner by now, or did something else that can't be followed, all has to be
//!   looked for again, where it is now.
//!
//! Slots are done for good, so it ends as soon as the rest stays put for the time of a pass. One thing
//! escapes this: a slot that moves forth and back between two looks while its owner gets others besides.

use std::collections::BTreeSet;

use super::view::{Index, View};
use crate::store::redis::name::{SLOTS, Slot};

/// What has not been seen yet of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    /// What its owner no longer has, because it has moved on.
    Moved,
    All,
}

/// Which nodes have to be scanned for these needs.
pub(super) fn queue(needs: &[Need], view: &View) -> Vec<Index> {
    let mut nodes = BTreeSet::new();
    for (need, slot) in needs.iter().zip(0_u16..) {
        if *need == Need::All {
            nodes.extend(view.owners[usize::from(slot)]);
        }
        if *need != Need::Nothing {
            nodes.extend(view.importers.get(&slot).into_iter().flatten());
        }
    }
    nodes.into_iter().collect()
}

/// What is needed still after a pass that began when the cluster was as in `before`, and of whose nodes
/// some were `skipped` because they were no masters any more.
pub(super) fn after(before: &View, needs: &[Need], skipped: &[Index], now: &View) -> Vec<Need> {
    let skipped: Vec<_> = skipped.iter().map(|index| before.id(*index)).collect();
    let unsettled = unsettled(before, now);
    let judged = needs.iter().zip(0_u16..).map(|(need, slot)| {
        let was = Place { owner: before.owner(slot), importers: before.importers(slot) };
        let is = Place { owner: now.owner(slot), importers: now.importers(slot) };
        let missed = was.owner.iter().chain(&was.importers).any(|id| skipped.contains(id));
        let in_doubt = is.owner.is_some_and(|id| unsettled.contains(&id));
        match need {
            Need::Nothing => Need::Nothing,
            _ if missed || in_doubt => Need::All,
            need => judge(*need, &was, &is),
        }
    });
    judged.collect()
}

/// Where a slot is, and where it goes.
struct Place<'a> {
    owner: Option<&'a str>,
    importers: Vec<&'a str>,
}

fn judge(need: Need, was: &Place<'_>, is: &Place<'_>) -> Need {
    if was.owner != is.owner {
        // The move that was known of is over: its target was scanned.
        let arrived = is.importers.is_empty() && was.importers.as_slice() == is.owner.as_slice();
        return if need == Need::Moved && arrived { Need::Nothing } else { Need::All };
    }
    // Where a move was called off, keys have come back.
    if !was.importers.iter().all(|importer| is.importers.contains(importer)) {
        return Need::All;
    }
    match need {
        Need::Moved if was.importers == is.importers => Need::Nothing,
        _ if is.importers.is_empty() => Need::Nothing,
        _ => Need::Moved,
    }
}

/// Masters whose epoch rose without a slot to show for it: something has been with theirs.
fn unsettled<'a>(before: &View, now: &'a View) -> Vec<&'a str> {
    let rose = now.masters.iter().filter(|master| {
        before.masters.iter().any(|former| former.id == master.id && former.epoch < master.epoch)
    });
    let rose = rose.map(|master| master.id.as_str());
    let gained = |id: &str| {
        let is_new = |slot: Slot| now.owner(slot) == Some(id) && before.owner(slot) != Some(id);
        (0..SLOTS).any(is_new)
    };
    rose.filter(|id| !gained(id)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::view::Master;
    use super::*;

    const IDS: [&str; 3] = ["a", "b", "c"];

    /// Slot 0 with this owner, on its way to these; all other slots are a's.
    fn view(owner: &str, importers: &[&str], epochs: [u64; 3]) -> View {
        let index = |id: &str| u16::try_from(IDS.iter().position(|it| *it == id).unwrap()).unwrap();
        let masters = IDS.iter().zip(epochs).map(|(id, epoch)| Master { id: (*id).to_owned(), epoch });
        let mut owners = vec![Some(0); usize::from(SLOTS)];
        owners[0] = Some(index(owner));
        let importers = importers.iter().map(|id| index(id)).collect::<Vec<_>>();
        let importers = if importers.is_empty() { BTreeMap::new() } else { BTreeMap::from([(0, importers)]) };
        View { masters: masters.collect(), owners, importers }
    }

    const CALM: [u64; 3] = [1, 2, 3];

    #[test]
    fn what_is_needed_after_a_pass() {
        use Need::{All, Moved, Nothing};
        type Way<'a> = (&'a str, &'a [&'a str]);
        let table: &[(Need, Way<'_>, Way<'_>, Need)] = &[
            // It stayed where it was.
            (All, ("a", &[]), ("a", &[]), Nothing),
            // It set out, or has been on its way all the time.
            (All, ("a", &[]), ("a", &["b"]), Moved),
            (All, ("a", &["b"]), ("a", &["b"]), Moved),
            // It arrived.
            (All, ("a", &[]), ("b", &[]), All),
            (All, ("a", &["b"]), ("b", &[]), All),
            // It was called off, or went elsewhere.
            (All, ("a", &["b"]), ("a", &[]), All),
            (All, ("a", &["b"]), ("a", &["c"]), All),
            (All, ("a", &["b"]), ("b", &["c"]), All),
            // The target was scanned, and the slot is on its way still, or has arrived.
            (Moved, ("a", &["b"]), ("a", &["b"]), Nothing),
            (Moved, ("a", &["b"]), ("b", &[]), Nothing),
            // Another target came to it; it was called off; it went on at once.
            (Moved, ("a", &["b"]), ("a", &["b", "c"]), Moved),
            (Moved, ("a", &["b"]), ("a", &[]), All),
            (Moved, ("a", &["b"]), ("a", &["c"]), All),
            (Moved, ("a", &["b"]), ("b", &["c"]), All),
            (Moved, ("a", &["b"]), ("c", &[]), All),
            // What is done is done.
            (Nothing, ("a", &[]), ("b", &["c"]), Nothing),
        ];
        for (need, was, is, expected) in table {
            let mut needs = vec![Nothing; usize::from(SLOTS)];
            needs[0] = *need;
            let (before, now) = (view(was.0, was.1, CALM), view(is.0, is.1, CALM));
            let left = after(&before, &needs, &[], &now);
            assert_eq!(left[0], *expected, "{need:?} {was:?} {is:?}");
            assert!(left[1..].iter().all(|need| *need == Nothing));
        }
    }

    #[test]
    fn a_node_that_was_skipped_counts_for_nothing() {
        let all = vec![Need::All; usize::from(SLOTS)];
        let calm = view("b", &[], CALM);
        let left = after(&calm, &all, &[1], &calm);
        assert_eq!((left[0], left[1]), (Need::All, Need::Nothing));
        assert_eq!(queue(&left, &calm), [1]);
    }

    #[test]
    fn an_epoch_without_a_reason_casts_doubt_on_the_node_s_slots() {
        let all = vec![Need::All; usize::from(SLOTS)];
        let (before, raised) = (view("b", &[], CALM), view("b", &[], [1, 9, 3]));
        let left = after(&before, &all, &[], &raised);
        assert_eq!((left[0], left[1]), (Need::All, Need::Nothing));
        // Here it has a reason.
        let left = after(&view("a", &[], CALM), &all, &[], &raised);
        assert_eq!((left[0], left[1]), (Need::All, Need::Nothing));
        assert!(unsettled(&view("a", &[], CALM), &raised).is_empty());
    }

    #[test]
    fn only_those_are_scanned_that_can_have_something() {
        let mut needs = vec![Need::Nothing; usize::from(SLOTS)];
        let moving = view("b", &["c"], CALM);
        assert!(queue(&needs, &moving).is_empty());
        needs[0] = Need::Moved;
        assert_eq!(queue(&needs, &moving), [2]);
        needs[0] = Need::All;
        assert_eq!(queue(&needs, &moving), [1, 2]);
        assert_eq!(queue(&vec![Need::All; usize::from(SLOTS)], &moving), [0, 1, 2]);
    }

    /// A resharding that goes on and on: the slots that are done stay so.
    #[test]
    fn it_ends_though_other_slots_keep_moving() {
        let mut needs = vec![Need::All; usize::from(SLOTS)];
        let mut before = view("a", &[], CALM);
        let mut passes = 0;
        for slot in 1..100_usize {
            if queue(&needs, &before).is_empty() {
                break;
            }
            let mut now = before.clone();
            now.owners[slot * 2] = Some(1);
            now.owners[slot * 2 + 1] = Some(2);
            now.masters[1].epoch += 10;
            now.masters[2].epoch += 10;
            needs = after(&before, &needs, &[], &now);
            before = now;
            passes += 1;
        }
        assert_eq!(passes, 2);
    }
}

//! A history keeps what happened to an owner's sessions, within its bounds. A store that keeps none has nothing to
//! prove here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::sample::{Session, Store, somebody};
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::error::Error;
use crate::record::{Label, OwnerHash};
use crate::store::history::{History, HistoryBounds, HistoryEntry, HistoryEvent};
use crate::store::scan::Cursor;

const AT_ONCE: u32 = 50;
const SHORT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);
/// So small that a few histories take several pages.
const SMALL: usize = 3;
/// A walk that goes in circles has to end.
const MOST_PAGES: usize = 100_000;

fn now() -> Timestamp {
    SystemClock.now()
}

/// A sign-in of some milliseconds ago.
fn sign_in(now: Timestamp, millis_ago: u64) -> HistoryEntry {
    let at = Timestamp::from_millis(now.as_millis() - millis_ago);
    HistoryEntry::new(at, HistoryEvent::SignedIn, Session::fresh().key, at)
}

/// Some entries of a history, the newest first.
fn sign_ins(now: Timestamp, count: u64) -> Vec<HistoryEntry> {
    (0..count).map(|nth| sign_in(now, 10 * nth)).collect()
}

async fn record(history: &dyn History, owner: OwnerHash, entries: &[HistoryEntry]) -> Result<(), Error> {
    for entry in entries {
        history.record(owner, entry, HistoryBounds::default()).await?;
    }
    Ok(())
}

async fn list(history: &dyn History, owner: OwnerHash, now: Timestamp) -> Result<Vec<HistoryEntry>, Error> {
    history.list(owner, HistoryBounds::WIDEST, now).await
}

/// An entry is listed as it was recorded, with the longest label, whatever happened.
pub async fn a_recorded_entry_is_listed(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now) = (somebody(), now());
    assert_eq!(list(history, owner, now).await?, [], "an unknown owner");
    let longest = HistoryEntry {
        label: Some(Label::new("é".repeat(Label::MAX_LENGTH / 2))?),
        what: HistoryEvent::DeviceBound,
        ..sign_in(now, 1)
    };
    let short = HistoryEntry { label: Some(Label::new("\0")?), ..sign_in(now, 2) };
    let unknown = HistoryEntry { what: HistoryEvent::from_code(255), ..sign_in(now, 3) };
    let began = Timestamp::from_millis(u64::MAX);
    let strange = HistoryEntry { began, what: HistoryEvent::from_code(0), ..sign_in(now, 4) };
    let entries = [sign_in(now, 0), longest, short, unknown, strange];
    for entry in entries.iter().rev() {
        history.record(owner, entry, HistoryBounds::default()).await?;
    }
    assert_eq!(list(history, owner, now).await?, entries);
    Ok(())
}

/// The newest entry comes first, in whichever order they were recorded: clocks differ. Of one moment it is the one that
/// was recorded last.
pub async fn the_newest_entry_comes_first(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now) = (somebody(), now());
    let entries = sign_ins(now, 5);
    for nth in [2, 0, 4, 1, 3] {
        record(history, owner, &entries[nth..=nth]).await?;
    }
    assert_eq!(list(history, owner, now).await?, entries);
    let again = HistoryEntry { what: HistoryEvent::SignedOut, ..entries[0].clone() };
    record(history, owner, std::slice::from_ref(&again)).await?;
    assert_eq!(list(history, owner, now).await?[..2], [again, entries[0].clone()]);
    Ok(())
}

/// Each owner has a history of their own.
pub async fn owners_do_not_see_each_others_history(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (ada, bob, now) = (somebody(), somebody(), now());
    let entries = sign_ins(now, 2);
    record(history, ada, &entries[..1]).await?;
    record(history, bob, &entries[1..]).await?;
    assert_eq!(list(history, ada, now).await?, entries[..1]);
    assert_eq!(list(history, bob, now).await?, entries[1..]);
    assert_eq!(history.forget(bob, now).await?, 1);
    assert_eq!(list(history, ada, now).await?, entries[..1], "the other one was forgotten");
    Ok(())
}

/// An entry that is sent again, because no answer came, is listed once.
pub async fn an_entry_sent_twice_is_listed_once(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now) = (somebody(), now());
    let entries = sign_ins(now, 3);
    for entry in [&entries[2], &entries[2], &entries[1], &entries[0], &entries[1]] {
        history.record(owner, entry, HistoryBounds::default()).await?;
    }
    assert_eq!(list(history, owner, now).await?, entries);
    Ok(())
}

/// Of entries recorded at once, none is lost.
pub async fn no_concurrent_entry_is_lost(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now) = (somebody(), now());
    let entries = sign_ins(now, u64::from(AT_ONCE));
    let mut recording = JoinSet::new();
    for entry in &entries {
        let (store, entry) = (store.clone(), entry.clone());
        recording.spawn(async move {
            let history = store.history().expect("it had one before");
            history.record(owner, &entry, HistoryBounds::default()).await
        });
    }
    for recorded in recording.join_all().await {
        recorded?;
    }
    assert_eq!(list(history, owner, now).await?, entries);
    Ok(())
}

/// A history has as many entries as were allowed at the last one, and as are asked for.
pub async fn beyond_their_number_the_oldest_entries_go(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now, three) = (somebody(), now(), HistoryBounds::default().entries(3));
    let entries = sign_ins(now, 6);
    record(history, owner, &[entries[5].clone(), entries[4].clone(), entries[3].clone()]).await?;
    for entry in entries[..3].iter().rev() {
        history.record(owner, entry, three).await?;
    }
    assert_eq!(list(history, owner, now).await?, entries[..3], "three are kept");
    assert_eq!(history.list(owner, three.entries(1), now).await?, entries[..1], "one is asked for");
    Ok(())
}

/// An entry as old as the age or older is not listed, and is gone once a newer one was recorded.
pub async fn beyond_their_age_entries_are_not_listed(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now, age) = (somebody(), now(), Duration::from_secs(60));
    let bounds = HistoryBounds::default().age(age);
    let [old, young, new] = [60_000, 59_999, 0].map(|millis_ago| sign_in(now, millis_ago));
    record(history, owner, &[old.clone(), young.clone()]).await?;
    assert_eq!(history.list(owner, bounds, now).await?, std::slice::from_ref(&young));
    assert_eq!(list(history, owner, now).await?, [young.clone(), old], "nothing newer was recorded");
    history.record(owner, &new, bounds).await?;
    assert_eq!(list(history, owner, now).await?, [new, young]);
    Ok(())
}

/// Once nothing was recorded for that age, the whole history is gone.
pub async fn a_history_ends_with_its_age(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now) = (somebody(), now());
    history.record(owner, &sign_in(now, 0), HistoryBounds::default().age(SHORT)).await?;
    let started = Instant::now();
    while !list(history, owner, now).await?.is_empty() {
        assert!(started.elapsed() < PATIENCE, "still there after {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A forgotten history is gone, with as many entries as it had.
pub async fn a_forgotten_history_is_gone(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now) = (somebody(), now());
    assert_eq!(history.forget(owner, now).await?, 0, "an unknown owner");
    let owner = somebody();
    record(history, owner, &sign_ins(now, 3)).await?;
    assert_eq!(history.forget(owner, now).await?, 3);
    assert_eq!(list(history, owner, now).await?, []);
    assert_eq!(history.forget(owner, now).await?, 0, "there is nothing left");
    Ok(())
}

/// An entry that was on its way when its owner was forgotten is not recorded. One of a session that began later is.
pub async fn what_was_on_its_way_is_forgotten_too(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let (owner, now) = (somebody(), now());
    let before = sign_in(now, 5);
    record(history, owner, std::slice::from_ref(&before)).await?;
    history.forget(owner, now).await?;
    let later = Timestamp::from_millis(now.as_millis() + 5);
    let late = HistoryEntry { at: later, what: HistoryEvent::SignedOut, ..before };
    record(history, owner, &[late]).await?;
    assert_eq!(list(history, owner, later).await?, [], "it is of a session from before");
    let new = sign_in(later, 0);
    record(history, owner, std::slice::from_ref(&new)).await?;
    assert_eq!(list(history, owner, later).await?, [new]);
    Ok(())
}

/// A walk from the first page to the last sees all histories, each page being asked for by the text of the previous
/// page's cursor; long ones whole.
pub async fn every_history_is_on_a_page(store: &Store) -> Result<(), Error> {
    let Some(history) = store.history() else { return Ok(()) };
    let now = now();
    let mut expected = HashMap::new();
    for nth in 0..10 {
        let (owner, entries) = (somebody(), sign_ins(now, if nth == 0 { 120 } else { 1 }));
        for entry in entries.iter().rev() {
            history.record(owner, entry, HistoryBounds::WIDEST).await?;
        }
        expected.insert(owner, entries);
    }
    for size in [SMALL, 1000] {
        let (mut cursor, mut seen, mut pages): (Option<Cursor>, _, _) = (None, HashMap::new(), 0);
        loop {
            let page = history.page(cursor.as_ref(), size).await?;
            assert!((0.0..=1.0).contains(&page.progress), "a share of {}", page.progress);
            seen.extend(page.histories.into_iter().map(|history| (history.owner, history.entries)));
            pages += 1;
            assert!(pages < MOST_PAGES, "there is no end to it");
            cursor = page.next.map(|next| Cursor::new(next.to_string()));
            if cursor.is_none() {
                break;
            }
        }
        let missing = expected.iter().filter(|(owner, entries)| seen.get(owner) != Some(entries)).count();
        assert_eq!(missing, 0, "so many histories were missed by pages of {size}");
    }
    for text in ["", "1", "h:", "not a cursor", "r2;n;@0"] {
        let refused = history.page(Some(&Cursor::new(text)), SMALL).await;
        assert!(matches!(refused, Err(Error::InvalidInput { .. })), "{text:?}: {refused:?}");
    }
    Ok(())
}

//! An index of owners misses no session. A store that keeps none has nothing to prove here.
//!
//! Sessions that are not stored are entered as such only.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::sample::{HOUR, Session, Store, somebody};
use crate::clock::{Clock as _, SystemClock};
use crate::error::Error;
use crate::record::OwnerHash;
use crate::store::owner_index::{
    Entry, Evict, IndexInsert, Owned, OwnerIndex, OwnerLimit, Revocation, Stage, Verdict,
};

const LIMIT: u32 = 5;
/// More than two pages.
const MANY: u32 = 2500;
const AT_ONCE: usize = 100;
const SHORT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);

fn entry() -> Entry {
    let session = Session::fresh();
    Entry::of(session.key, &session.record)
}

/// Entries that began one after the other.
fn entries(count: u32) -> Vec<Entry> {
    let began =
        |nth: u32| Entry { created_at: crate::Timestamp::from_millis(1_000_000 + u64::from(nth)), ..entry() };
    (0..count).map(began).collect()
}

async fn insert(index: &dyn OwnerIndex, owner: OwnerHash, entry: &Entry) -> Result<Verdict, Error> {
    Ok(index.insert(owner, IndexInsert::new(entry, HOUR, Stage::Before)).await?.verdict)
}

async fn enter_within(
    index: &dyn OwnerIndex,
    owner: OwnerHash,
    entry: &Entry,
    evict: Evict,
) -> Result<Verdict, Error> {
    let limit = Some(OwnerLimit { sessions: LIMIT, evict });
    let entering = |stage| IndexInsert { limit, ..IndexInsert::new(entry, HOUR, stage) };
    match index.insert(owner, entering(Stage::Before)).await?.verdict {
        Verdict::Inserted => Ok(index.insert(owner, entering(Stage::After)).await?.verdict),
        refusal => Ok(refusal),
    }
}

async fn assert_lists(
    index: &dyn OwnerIndex,
    owner: OwnerHash,
    expected: &[Entry],
    why: &str,
) -> Result<(), Error> {
    let listed = index.list(owner, None).await?.entries;
    let lacks = expected.iter().find(|entry| !listed.contains(entry));
    assert!(lacks.is_none(), "{why}: {lacks:?} is missing");
    assert_eq!(listed.len(), expected.len(), "{why}: {listed:?}");
    Ok(())
}

/// An entered session is listed once, as it was entered; other owners' sessions are not.
pub async fn an_entered_session_is_listed(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (ada, bob) = (somebody(), somebody());
    assert_lists(index, ada, &[], "an unknown owner").await?;
    let sessions = entries(3);
    for session in &sessions {
        assert_eq!(insert(index, ada, session).await?, Verdict::Inserted);
    }
    let again = index.insert(ada, IndexInsert::new(&sessions[0], HOUR, Stage::Before)).await?;
    assert_eq!((again.verdict, again.revoked), (Verdict::Inserted, vec![]), "entered again");
    assert_lists(index, ada, &sessions, "three sessions").await?;
    assert_lists(index, bob, &[], "somebody else").await
}

/// An entry is gone when its time has passed.
pub async fn an_entry_ends_with_its_time_to_live(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session) = (somebody(), entry());
    index.insert(owner, IndexInsert::new(&session, SHORT, Stage::Before)).await?;
    let started = Instant::now();
    while !index.list(owner, None).await?.entries.is_empty() {
        assert!(started.elapsed() < PATIENCE, "still there after {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Entering a session for longer extends its entry; a late insertion does not shorten it.
pub async fn an_entry_is_extended_and_never_shortened(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session) = (somebody(), entry());
    for life in [SHORT, HOUR, SHORT] {
        index.insert(owner, IndexInsert::new(&session, life, Stage::Before)).await?;
    }
    sleep(SHORT * 2).await;
    assert_lists(index, owner, &[session], "it was entered for an hour").await
}

/// An entry is told to be pending until its session was written, so that nobody takes it for a session that is gone. Of a
/// session that gets a new id, the old entry tells that it is there.
pub async fn an_entry_is_pending_until_its_session_was_written(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session, renewed, known) = (somebody(), entry(), entry(), entry());
    let pending = async || index.list(owner, None).await.map(|owned| owned.pending);
    let signing_in = |stage| IndexInsert::new(&session, HOUR, stage);
    index.insert(owner, IndexInsert::new(&known, HOUR, Stage::Later)).await?;
    for _ in 0..2 {
        index.insert(owner, signing_in(Stage::Before)).await?;
        assert_eq!(pending().await?, std::slice::from_ref(&session), "it is not written yet");
    }
    index.insert(owner, signing_in(Stage::After)).await?;
    assert_eq!(pending().await?, [], "it was written");
    index.insert(owner, signing_in(Stage::Before)).await?;
    assert_eq!(pending().await?, [], "it was written before");

    let renewing = |stage| IndexInsert::new(&renewed, HOUR, stage).replacing(&session);
    for stage in [Stage::Before, Stage::After] {
        index.insert(owner, renewing(stage)).await?;
        assert_eq!(pending().await?, [], "{stage:?}: it has been there, under the old id");
    }
    assert_lists(index, owner, &[known, renewed], "the others").await
}

/// All revoked sessions are reported, and none of them is inserted again.
pub async fn a_revoked_session_is_not_inserted_again(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(3));
    for session in &sessions {
        insert(index, owner, session).await?;
    }
    index.revoke(owner, Revocation::One(&sessions[0])).await?;
    assert_eq!(index.revoked(owner).await?, sessions[..1], "one of three");
    assert_lists(index, owner, &sessions[1..], "the others").await?;
    index.revoke(owner, Revocation::All).await?;
    assert_eq!(index.revoked(owner).await?.len(), 3, "all of them, with the one before");

    for session in &sessions {
        let entered = index.insert(owner, IndexInsert::new(session, HOUR, Stage::Later)).await?;
        assert_eq!(entered.verdict, Verdict::Revoked);
        assert_eq!(entered.revoked.len(), 3, "whoever comes is told what is to be deleted");
    }
    let owned = index.list(owner, None).await?;
    assert_eq!((owned.entries.len(), owned.revoked.len()), (0, 3));
    assert!(owned.revoked_at.is_some(), "when that was is known");
    assert_eq!(insert(index, owner, &entry()).await?, Verdict::Inserted, "a new sign-in");
    Ok(())
}

/// A session that is not in the index can be revoked, and is kept out of it from then on.
pub async fn an_unknown_session_can_be_revoked(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session) = (somebody(), entry());
    index.revoke(owner, Revocation::One(&session)).await?;
    assert_eq!(index.revoked(owner).await?, std::slice::from_ref(&session));
    assert_eq!(insert(index, owner, &session).await?, Verdict::Revoked);
    Ok(())
}

/// A rotation does not carry over a session that was revoked before or during it.
pub async fn a_revoked_sessions_successor_is_revoked(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, old, new) = (somebody(), entry(), entry());
    insert(index, owner, &old).await?;
    index.revoke(owner, Revocation::One(&old)).await?;
    let before = IndexInsert { replaces: Some(&old), ..IndexInsert::new(&new, HOUR, Stage::Before) };
    assert_eq!(index.insert(owner, before).await?.verdict, Verdict::Revoked, "before the rotation");
    assert_lists(index, owner, &[], "it did not get in").await?;
    let after = IndexInsert { replaces: Some(&old), ..IndexInsert::new(&new, HOUR, Stage::After) };
    assert_eq!(index.insert(owner, after).await?.verdict, Verdict::Revoked, "after the rotation");
    Ok(())
}

/// After a rotation, the old entry is removed.
pub async fn a_replaced_entry_is_gone(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, old, session) = (somebody(), entry(), Session::created(store).await?);
    let new = Entry::of(session.key, &session.record);
    insert(index, owner, &old).await?;
    let entering = |stage| IndexInsert { replaces: Some(&old), ..IndexInsert::new(&new, HOUR, stage) };
    assert!(!index.insert(owner, entering(Stage::Before)).await?.known);
    assert_lists(index, owner, &[old.clone(), new.clone()], "while the rotation goes on").await?;
    assert!(index.insert(owner, entering(Stage::After)).await?.known, "it was entered before");
    assert_lists(index, owner, &[new], "afterwards").await
}

/// All but one of an owner's sessions can be revoked.
pub async fn a_spared_session_stays(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(3));
    for session in &sessions {
        insert(index, owner, session).await?;
    }
    index.revoke(owner, Revocation::AllBut(&sessions[1])).await?;
    assert_eq!(index.revoked(owner).await?.len(), 2);
    assert_lists(index, owner, &sessions[1..2], "the one that was spared").await?;
    assert_eq!(insert(index, owner, &sessions[1]).await?, Verdict::Inserted, "it can be extended");
    Ok(())
}

/// A removed entry is gone, revoked or not.
pub async fn a_removed_entry_is_gone(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(3));
    for session in &sessions {
        insert(index, owner, session).await?;
    }
    index.revoke(owner, Revocation::One(&sessions[0])).await?;
    index.remove(owner, &sessions[..2], &[]).await?;
    let owned = index.list(owner, None).await?;
    assert_eq!((owned.entries, owned.revoked), (sessions[2..].to_vec(), vec![]));
    Ok(())
}

/// A revoked session that was missing when it was to be deleted may be in flight: it stays excluded for another
/// minute. A session that is not revoked is unaffected.
pub async fn a_missing_session_is_kept_out_for_a_while(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(2));
    for session in &sessions {
        insert(index, owner, session).await?;
    }
    index.revoke(owner, Revocation::One(&sessions[0])).await?;
    index.remove(owner, &[], &sessions).await?;
    assert_eq!(insert(index, owner, &sessions[0]).await?, Verdict::Revoked);
    assert_lists(index, owner, &sessions[1..], "the one that is not revoked").await
}

/// Beyond the limit, the sessions that began first are revoked, whichever ends first, once the new one
/// is written. Sessions that are not written yet do not count.
pub async fn beyond_the_limit_the_oldest_sessions_are_revoked(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(LIMIT + 3));
    // Without a limit, and the oldest entered last.
    for session in sessions[..7].iter().rev() {
        insert(index, owner, session).await?;
        index.insert(owner, IndexInsert::new(session, HOUR, Stage::After)).await?;
    }
    let limit = Some(OwnerLimit { sessions: LIMIT, evict: Evict::Oldest });
    let entering = IndexInsert { limit, ..IndexInsert::new(&sessions[7], HOUR, Stage::Before) };
    assert_eq!(index.insert(owner, entering).await?.verdict, Verdict::Inserted);
    assert_lists(index, owner, &sessions, "nobody goes for what is not written yet").await?;
    let written = IndexInsert { stage: Stage::After, ..entering };
    assert_eq!(index.insert(owner, written).await?.verdict, Verdict::Inserted);
    assert_lists(index, owner, &sessions[3..], "the five that began last").await?;
    assert_eq!(index.list(owner, None).await?.revoked.len(), 3);
    let again = enter_within(index, owner, &sessions[7], Evict::Oldest).await?;
    assert_eq!(again, Verdict::Inserted, "it is there already");
    assert_eq!(index.list(owner, None).await?.revoked.len(), 3, "nobody had to go");
    Ok(())
}

/// A session that gets a new id has two entries for a moment, and counts once.
pub async fn a_session_under_two_ids_counts_once(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    for evict in [Evict::Refuse, Evict::Oldest] {
        let (owner, session) = (somebody(), Session::fresh());
        let (old, renewed) = (Entry::of(session.key.clone(), &session.record), session.renewed());
        let others = entries(LIMIT - 1);
        for other in others.iter().chain([&old]) {
            insert(index, owner, other).await?;
        }
        let new = Entry::of(renewed.key, &renewed.record);
        assert_eq!(
            enter_within(index, owner, &new, evict).await?,
            Verdict::Inserted,
            "a renewal of one of five"
        );
        assert_eq!(index.list(owner, None).await?.revoked, [], "nobody had to go for it");
        index.remove(owner, &others[..1], &[]).await?;
        assert_eq!(
            enter_within(index, owner, &entry(), evict).await?,
            Verdict::Inserted,
            "there is room for one"
        );
        assert_eq!(index.list(owner, None).await?.revoked, [], "nor for that");
    }
    Ok(())
}

/// A session that is evicted while it gets a new id is revoked under both ids.
pub async fn a_session_under_two_ids_is_evicted_under_both(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session) = (somebody(), Session::fresh());
    let oldest = |key| Entry { key, created_at: crate::Timestamp::from_millis(1) };
    let (old, new) = (oldest(session.key.clone()), oldest(session.renewed().key));
    for session in [&old].into_iter().chain(&entries(LIMIT - 1)) {
        assert_eq!(enter_within(index, owner, session, Evict::Oldest).await?, Verdict::Inserted);
    }
    index.insert(owner, IndexInsert::new(&new, HOUR, Stage::Before).replacing(&old)).await?;
    assert_eq!(enter_within(index, owner, &entry(), Evict::Oldest).await?, Verdict::Inserted);
    let revoked: HashSet<_> = index.revoked(owner).await?.into_iter().collect();
    assert_eq!(revoked, HashSet::from([old, new]));
    Ok(())
}

/// Beyond the limit, a session is refused under [`Evict::Refuse`], and nothing changes.
pub async fn beyond_the_limit_a_session_is_refused(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(LIMIT));
    for session in &sessions {
        assert_eq!(enter_within(index, owner, session, Evict::Refuse).await?, Verdict::Inserted);
    }
    assert_eq!(enter_within(index, owner, &entry(), Evict::Refuse).await?, Verdict::Full);
    assert_lists(index, owner, &sessions, "as before").await?;
    index.remove(owner, &sessions[..1], &[]).await?;
    assert_eq!(
        enter_within(index, owner, &entry(), Evict::Refuse).await?,
        Verdict::Inserted,
        "there is room"
    );
    Ok(())
}

/// 50 concurrent sign-ins against a limit of 5 leave 5 sessions.
pub async fn the_limit_holds_for_concurrent_sign_ins(store: &Store) -> Result<(), Error> {
    if store.owners().is_none() {
        return Ok(());
    }
    for evict in [Evict::Oldest, Evict::Refuse] {
        let owner = somebody();
        let sign_ins: Vec<_> = (0..50)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let index = store.owners().expect("it had one before");
                    enter_within(index, owner, &entry(), evict).await
                })
            })
            .collect();
        let mut entered = 0;
        for sign_in in sign_ins {
            let verdict = sign_in.await.expect("the store does not panic")?;
            entered += u32::from(verdict == Verdict::Inserted);
        }
        let owned = store.owners().expect("it had one before").list(owner, None).await?;
        assert_eq!(owned.entries.len(), LIMIT as usize, "{evict:?}");
        assert_eq!(entered, if evict == Evict::Oldest { 50 } else { LIMIT }, "{evict:?}");
    }
    Ok(())
}

/// More sessions than fit a page are listed page by page, and revoked in one step; they are reported for deletion
/// page by page. Sessions entered afterwards stay, and so do spared ones.
pub async fn a_great_many_sessions_are_listed_and_revoked(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(MANY));
    for page in sessions.chunks(AT_ONCE) {
        let mut entering = JoinSet::new();
        for session in page {
            let (store, session) = (store.clone(), session.clone());
            entering.spawn(async move {
                insert(store.owners().expect("it had one before"), owner, &session).await
            });
        }
        for entered in entering.join_all().await {
            assert_eq!(entered?, Verdict::Inserted);
        }
    }
    let (mut listed, mut after, mut pages) = (HashSet::new(), None, 0);
    loop {
        let page = index.list(owner, after.as_ref()).await?;
        assert!(page.entries.len() <= Owned::PAGE, "a page of {}", page.entries.len());
        listed.extend(page.entries);
        (after, pages) = (page.next, pages + 1);
        assert!(pages <= sessions.len(), "there is no end to it");
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, sessions.iter().cloned().collect(), "all of them, and nothing else");

    let (spared, later) = (&sessions[0], entry());
    index.revoke(owner, Revocation::AllBut(spared)).await?;
    insert(index, owner, &later).await?;
    assert_lists(index, owner, &[spared.clone(), later.clone()], "after all others were revoked").await?;
    let mut revoked = HashSet::new();
    loop {
        let page = index.revoked(owner).await?;
        assert!(page.len() <= Owned::PAGE, "a page of {}", page.len());
        if page.is_empty() {
            break;
        }
        for session in [page.first(), page.last()].into_iter().flatten() {
            assert_eq!(insert(index, owner, session).await?, Verdict::Revoked, "nobody has come to it yet");
        }
        // Of some, the session is not found.
        let (gone, missing) = page.split_at(page.len() / 2);
        index.remove(owner, gone, missing).await?;
        revoked.extend(page);
        assert!(revoked.len() < sessions.len(), "more than were revoked");
    }
    assert_eq!(revoked, sessions[1..].iter().cloned().collect(), "all but the one that was spared");
    assert_lists(index, owner, &[spared.clone(), later], "once all others are gone").await
}

/// A session brought in from elsewhere that began before all of its owner's sessions were revoked is not inserted.
pub async fn what_comes_after_a_revocation_from_before_it_is_revoked(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, now) = (somebody(), SystemClock.now());
    let began = |created_at| Entry { created_at, ..entry() };
    let early = began(now);
    let moving =
        async |entry: &Entry| index.insert(owner, IndexInsert::new(entry, HOUR, Stage::Moving)).await;
    assert_eq!(moving(&early).await?.verdict, Verdict::Inserted, "nobody was signed out");
    index.revoke(owner, Revocation::AllBut(&early)).await?;
    assert_eq!(moving(&early).await?.verdict, Verdict::Inserted, "it was spared");
    let late = began(now.saturating_add(HOUR));
    assert_eq!(moving(&began(now)).await?.verdict, Verdict::Revoked, "the index did not know it");
    assert_eq!(moving(&late).await?.verdict, Verdict::Inserted, "it began afterwards");
    assert_lists(index, owner, &[early, late], "nothing else").await
}

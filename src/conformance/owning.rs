//! An index of owners misses no session. A store that keeps none has nothing to prove here.
//!
//! The sessions themselves are not stored, so none is entered as [written](Entering::written) that has to stay.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::sample::{Session, Store, hour};
use crate::error::Error;
use crate::id::SessionId;
use crate::record::Owner;
use crate::store::owners::{Doom, Entering, Entry, Evict, OwnerIndex, OwnerLimit, Verdict};
use crate::ttl::Ttl;

const LIMIT: u32 = 5;
const SHORT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);

/// An owner whom no other test knows.
fn somebody() -> Owner {
    Owner::new(SessionId::generate().as_str()).expect("a short name")
}

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

async fn enter(index: &dyn OwnerIndex, owner: &Owner, entry: &Entry) -> Result<Verdict, Error> {
    Ok(index.enter(owner, Entering::new(entry, hour())).await?.verdict)
}

async fn enter_within(
    index: &dyn OwnerIndex,
    owner: &Owner,
    entry: &Entry,
    evict: Evict,
) -> Result<Verdict, Error> {
    let limit = Some(OwnerLimit { sessions: LIMIT, evict });
    Ok(index.enter(owner, Entering { limit, ..Entering::new(entry, hour()) }).await?.verdict)
}

async fn assert_lists(
    index: &dyn OwnerIndex,
    owner: &Owner,
    expected: &[Entry],
    why: &str,
) -> Result<(), Error> {
    let listed = index.list(owner).await?.entries;
    let lacks = expected.iter().find(|entry| !listed.contains(entry));
    assert!(lacks.is_none(), "{why}: {lacks:?} is missing");
    assert_eq!(listed.len(), expected.len(), "{why}: {listed:?}");
    Ok(())
}

/// A session that was entered is listed, once, as it was entered; nobody else's is.
pub async fn an_entered_session_is_listed(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (ada, bob) = (somebody(), somebody());
    assert_lists(index, &ada, &[], "an unknown owner").await?;
    let sessions = entries(3);
    for session in &sessions {
        assert_eq!(enter(index, &ada, session).await?, Verdict::Entered);
    }
    let again = index.enter(&ada, Entering::new(&sessions[0], hour())).await?;
    assert_eq!((again.verdict, again.doomed), (Verdict::Entered, vec![]), "entered again");
    assert_lists(index, &ada, &sessions, "three sessions").await?;
    assert_lists(index, &bob, &[], "somebody else").await
}

/// An entry is gone when its time has passed.
pub async fn an_entry_ends_with_its_time_to_live(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session) = (somebody(), entry());
    index.enter(&owner, Entering::new(&session, Ttl::new(SHORT))).await?;
    let started = Instant::now();
    while !index.list(&owner).await?.entries.is_empty() {
        assert!(started.elapsed() < PATIENCE, "still there after {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Whoever enters a session for longer extends its entry; whoever comes late does not shorten it.
pub async fn an_entry_is_extended_and_never_shortened(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session) = (somebody(), entry());
    for ttl in [Ttl::new(SHORT), hour(), Ttl::new(SHORT)] {
        index.enter(&owner, Entering::new(&session, ttl)).await?;
    }
    sleep(SHORT * 2).await;
    assert_lists(index, &owner, &[session], "it was entered for an hour").await
}

/// Who dooms sessions is told of all that are doomed; none of them is entered again.
pub async fn a_doomed_session_is_not_entered_again(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(3));
    for session in &sessions {
        enter(index, &owner, session).await?;
    }
    let doomed = index.doom(&owner, Doom::One(&sessions[0])).await?;
    assert_eq!(doomed, sessions[..1], "one of three");
    assert_lists(index, &owner, &sessions[1..], "the others").await?;
    assert_eq!(index.doom(&owner, Doom::All).await?.len(), 3, "all of them, with the one before");

    for session in &sessions {
        let entered = index.enter(&owner, Entering::again(session, hour())).await?;
        assert_eq!(entered.verdict, Verdict::Doomed);
        assert_eq!(entered.doomed.len(), 3, "whoever comes is told what is to be deleted");
    }
    let owned = index.list(&owner).await?;
    assert_eq!((owned.entries.len(), owned.doomed.len()), (0, 3));
    assert!(owned.revoked_at.is_some(), "when that was is known");
    assert_eq!(enter(index, &owner, &entry()).await?, Verdict::Entered, "a new sign-in");
    Ok(())
}

/// A session that is not in the index can be doomed, and is kept out of it from then on.
pub async fn an_unknown_session_can_be_doomed(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, session) = (somebody(), entry());
    assert_eq!(index.doom(&owner, Doom::One(&session)).await?, std::slice::from_ref(&session));
    assert_eq!(enter(index, &owner, &session).await?, Verdict::Doomed);
    Ok(())
}

/// A rotation does not carry over a session that was doomed before it, or while it went on.
pub async fn a_doomed_sessions_successor_is_doomed(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, old, new) = (somebody(), entry(), entry());
    enter(index, &owner, &old).await?;
    index.doom(&owner, Doom::One(&old)).await?;
    let before = Entering { replaces: Some(&old), ..Entering::new(&new, hour()) };
    assert_eq!(index.enter(&owner, before).await?.verdict, Verdict::Doomed, "before the rotation");
    assert_lists(index, &owner, &[], "it did not get in").await?;
    let after = Entering { replaced: Some(&old), ..Entering::again(&new, hour()) };
    assert_eq!(index.enter(&owner, after).await?.verdict, Verdict::Doomed, "after the rotation");
    Ok(())
}

/// After a rotation, the old entry goes.
pub async fn a_replaced_entry_is_gone(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, old, new) = (somebody(), entry(), entry());
    enter(index, &owner, &old).await?;
    index.enter(&owner, Entering { replaces: Some(&old), ..Entering::new(&new, hour()) }).await?;
    assert_lists(index, &owner, &[old.clone(), new.clone()], "while the rotation goes on").await?;
    index.enter(&owner, Entering { replaced: Some(&old), ..Entering::new(&new, hour()) }).await?;
    assert_lists(index, &owner, &[new], "afterwards").await
}

/// All but one of an owner's sessions can be doomed.
pub async fn a_spared_session_stays(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(3));
    for session in &sessions {
        enter(index, &owner, session).await?;
    }
    assert_eq!(index.doom(&owner, Doom::AllBut(&sessions[1])).await?.len(), 2);
    assert_lists(index, &owner, &sessions[1..2], "the one that was spared").await?;
    assert_eq!(enter(index, &owner, &sessions[1]).await?, Verdict::Entered, "it can be extended");
    Ok(())
}

/// An entry that was taken away is gone, doomed or not.
pub async fn a_removed_entry_is_gone(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(3));
    for session in &sessions {
        enter(index, &owner, session).await?;
    }
    index.doom(&owner, Doom::One(&sessions[0])).await?;
    index.remove(&owner, &sessions[..2]).await?;
    let owned = index.list(&owner).await?;
    assert_eq!((owned.entries, owned.doomed), (sessions[2..].to_vec(), vec![]));
    Ok(())
}

/// Beyond the limit, the sessions that began first are doomed, whatever their order of ending.
pub async fn beyond_the_limit_the_oldest_sessions_are_doomed(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(LIMIT + 3));
    // Without a limit, and the oldest entered last.
    for session in sessions[..7].iter().rev() {
        enter(index, &owner, session).await?;
    }
    let verdict = enter_within(index, &owner, &sessions[7], Evict::Oldest).await?;
    assert_eq!(verdict, Verdict::Entered);
    assert_lists(index, &owner, &sessions[3..], "the five that began last").await?;
    assert_eq!(index.list(&owner).await?.doomed.len(), 3);
    // Not one more.
    let again = enter_within(index, &owner, &sessions[7], Evict::Oldest).await?;
    assert_eq!(again, Verdict::Entered, "it is there already");
    let successor = entry();
    let limit = Some(OwnerLimit { sessions: LIMIT, evict: Evict::Oldest });
    let replacing = Entering { replaces: Some(&sessions[3]), limit, ..Entering::new(&successor, hour()) };
    index.enter(&owner, replacing).await?;
    assert_eq!(index.list(&owner).await?.doomed.len(), 3, "nobody had to go");
    Ok(())
}

/// Beyond the limit, a session is refused if that is asked for, and nothing changes.
pub async fn beyond_the_limit_a_session_is_refused(store: &Store) -> Result<(), Error> {
    let Some(index) = store.owners() else { return Ok(()) };
    let (owner, sessions) = (somebody(), entries(LIMIT));
    for session in &sessions {
        assert_eq!(enter_within(index, &owner, session, Evict::Refuse).await?, Verdict::Entered);
    }
    assert_eq!(enter_within(index, &owner, &entry(), Evict::Refuse).await?, Verdict::Full);
    assert_lists(index, &owner, &sessions, "as before").await?;
    index.remove(&owner, &sessions[..1]).await?;
    assert_eq!(
        enter_within(index, &owner, &entry(), Evict::Refuse).await?,
        Verdict::Entered,
        "there is room"
    );
    Ok(())
}

/// 50 sign-ins at once against a limit of 5 end with 5.
pub async fn the_limit_holds_for_concurrent_sign_ins(store: &Store) -> Result<(), Error> {
    if store.owners().is_none() {
        return Ok(());
    }
    for evict in [Evict::Oldest, Evict::Refuse] {
        let owner = somebody();
        let sign_ins: Vec<_> = (0..50)
            .map(|_| {
                let (store, owner) = (store.clone(), owner.clone());
                tokio::spawn(async move {
                    let index = store.owners().expect("it had one before");
                    enter_within(index, &owner, &entry(), evict).await
                })
            })
            .collect();
        let mut entered = 0;
        for sign_in in sign_ins {
            let verdict = sign_in.await.expect("the store does not panic")?;
            entered += u32::from(verdict == Verdict::Entered);
        }
        let owned = store.owners().expect("it had one before").list(&owner).await?;
        assert_eq!(owned.entries.len(), LIMIT as usize, "{evict:?}");
        assert_eq!(entered, if evict == Evict::Oldest { 50 } else { LIMIT }, "{evict:?}");
    }
    Ok(())
}

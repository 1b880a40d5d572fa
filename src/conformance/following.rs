//! An update that asks for it follows its session to the new key of a rotation.
//!
//! That is for requests which had loaded the session before: what they write must not be lost.

use super::expiring::{SHORT, assert_ends};
use super::sample::{
    ROUNDS, Session, Store, assert_absent, assert_holds, data, delete, follow, hour, in_one_hour, race,
    rotate, save,
};
use crate::error::Error;
use crate::record::Record;
use crate::store::{Loaded, Update, Updated};
use crate::ttl::Ttl;

/// A session with a former key, and with its present one.
async fn rotated(store: &Store) -> Result<(Session, Session), Error> {
    let session = Session::created(store).await?;
    let renewed = session.renewed();
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Updated);
    Ok((session, renewed))
}

/// The update takes effect at the new key, and the marker stays.
pub async fn an_update_follows_a_rotation(store: &Store) -> Result<(), Error> {
    let (session, renewed) = rotated(store).await?;
    let edited = Session { record: renewed.edited("late"), ..renewed };
    assert_eq!(follow(store, &session, &edited.record).await?, Updated::Updated);
    assert_holds(store, &edited, "an update followed").await?;
    assert_eq!(store.load(&session.key).await?, Loaded::Moved, "the marker stays");
    Ok(())
}

/// An update based on an older version changes nothing, and gets the record at the new key.
pub async fn an_update_that_follows_needs_the_expected_revision(store: &Store) -> Result<(), Error> {
    let (session, renewed) = rotated(store).await?;
    let answer = follow(store, &session, &session.edited("late")).await?;
    assert_eq!(answer, Updated::Stale(renewed.record.clone()), "the rotation wrote the session");
    assert_holds(store, &renewed, "the update had no effect").await?;

    let edited = Session { record: renewed.edited("first"), ..renewed.clone() };
    save(store, &renewed, &edited.record).await?;
    let answer = follow(store, &session, &renewed.edited("late")).await?;
    assert_eq!(answer, Updated::Stale(edited.record.clone()), "another update came first");
    assert_holds(store, &edited, "the update had no effect").await
}

/// Without a marker, an update that follows is an update like any other.
pub async fn an_update_that_follows_needs_no_rotation(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let edited = Session { record: session.edited("edited"), ..session.clone() };
    assert_eq!(follow(store, &session, &edited.record).await?, Updated::Updated);
    assert_holds(store, &edited, "just updated").await?;
    let late = follow(store, &session, &session.edited("late")).await?;
    assert_eq!(late, Updated::Stale(edited.record.clone()));
    assert_holds(store, &edited, "a stale update").await
}

/// An update follows one marker. Behind a second one the session may be anybody's.
pub async fn an_update_follows_no_chain_of_rotations(store: &Store) -> Result<(), Error> {
    let (session, renewed) = rotated(store).await?;
    let again = renewed.renewed();
    assert_eq!(rotate(store, &renewed, &again).await?, Updated::Updated);
    assert_eq!(follow(store, &session, &session.edited("late")).await?, Updated::Moved);
    assert_eq!(follow(store, &session, &again.edited("informed")).await?, Updated::Moved);
    assert_holds(store, &again, "none of it reached the session").await?;
    assert_eq!(store.load(&renewed.key).await?, Loaded::Moved, "the second marker stays");
    Ok(())
}

/// An update that follows creates nothing: neither for an unknown key, nor after a logout under either
/// id.
pub async fn an_update_that_follows_creates_nothing(store: &Store) -> Result<(), Error> {
    let never = Session::fresh();
    assert_eq!(follow(store, &never, &never.edited("late")).await?, Updated::Missing);
    assert_absent(store, &never, "an update does not create").await?;

    for by_old_id in [true, false] {
        let (session, renewed) = rotated(store).await?;
        assert!(delete(store, if by_old_id { &session } else { &renewed }).await?);
        for record in [session.edited("late"), renewed.edited("late")] {
            assert_eq!(follow(store, &session, &record).await?, Updated::Missing);
            assert_absent(store, &renewed, "an update brought it back").await?;
        }
        let left = store.load(&session.key).await?;
        assert_eq!(left, if by_old_id { Loaded::Absent } else { Loaded::Moved });
    }
    Ok(())
}

/// An update that follows applies its own time to live.
pub async fn an_update_that_follows_sets_the_time_to_live(store: &Store) -> Result<(), Error> {
    let (session, renewed) = rotated(store).await?;
    let edited = renewed.edited("late");
    let update = Update::new(&session.key, &edited, Ttl::new(SHORT)).following();
    assert_eq!(store.update(update).await?, Updated::Updated);
    assert_ends(store, &renewed, "updated for 30 ms").await
}

/// An update that follows recognises itself by the record at the new key, by the marker of the next rotation there,
/// and, if it came before the rotation, by the marker at the old key.
pub async fn an_update_that_follows_is_recognised_when_sent_twice(store: &Store) -> Result<(), Error> {
    let (session, renewed) = rotated(store).await?;
    let edited = Session { record: renewed.edited("late"), ..renewed };
    assert_eq!(follow(store, &session, &edited.record).await?, Updated::Updated);
    assert_eq!(follow(store, &session, &edited.record).await?, Updated::Updated, "the same update again");
    assert_holds(store, &edited, "updated twice").await?;

    let next = Session { record: edited.edited("next"), ..edited.clone() };
    save(store, &edited, &next.record).await?;
    let answer = follow(store, &session, &edited.record).await?;
    assert_eq!(answer, Updated::Updated, "the update, after another one");
    assert_holds(store, &next, "the update was replayed after another one").await?;

    let last = Session { record: next.edited("last"), ..next.clone() };
    assert_eq!(follow(store, &session, &last.record).await?, Updated::Updated);
    let again = last.renewed();
    rotate(store, &last, &again).await?;
    let answer = follow(store, &session, &last.record).await?;
    assert_eq!(answer, Updated::Updated, "the update, after a rotation of its session");
    assert_holds(store, &again, "the update was replayed after a rotation").await?;

    let session = Session::created(store).await?;
    let edited = Session { record: session.edited("edited"), ..session.clone() };
    assert_eq!(follow(store, &session, &edited.record).await?, Updated::Updated);
    let renewed = edited.renewed();
    rotate(store, &edited, &renewed).await?;
    let answer = follow(store, &session, &edited.record).await?;
    assert_eq!(answer, Updated::Updated, "the update, which came before the rotation");
    assert_holds(store, &renewed, "the update was replayed after a rotation").await
}

/// Of an update that follows and a concurrent one under the new id, one takes effect, and the other is told.
pub async fn an_update_that_follows_and_a_concurrent_save_exclude_each_other(
    store: &Store,
) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let (session, renewed) = rotated(store).await?;
        let (late, saved) = (renewed.edited("late"), renewed.edited("saved"));
        let following = follow(store, &session, &late);
        let (winner, stale) = match race(round, following, save(store, &renewed, &saved)).await? {
            (Updated::Updated, stale) => (late, stale),
            (stale, Updated::Updated) => (saved, stale),
            neither => panic!("neither of two updates took effect: {neither:?}"),
        };
        assert_eq!(stale, Updated::Stale(winner.clone()));
        assert_holds(store, &Session { record: winner, ..renewed }, "the update that won").await?;
    }
    Ok(())
}

/// An update that follows finds its session before or after a concurrent rotation; a second rotation
/// takes the session out of its reach, or includes the update.
pub async fn an_update_that_follows_and_a_concurrent_rotation_miss_nothing(
    store: &Store,
) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let (edited, renewed) = (session.edited("late"), session.renewed());
        match race(round, follow(store, &session, &edited), rotate(store, &session, &renewed)).await? {
            (Updated::Updated, Updated::Stale(there)) => assert_eq!(there, edited),
            (Updated::Stale(there), Updated::Updated) => assert_eq!(there, renewed.record),
            answers => panic!("neither came first: {answers:?}"),
        }

        let (session, renewed) = rotated(store).await?;
        let (edited, again) = (renewed.edited("late"), renewed.renewed());
        match race(round, follow(store, &session, &edited), rotate(store, &renewed, &again)).await? {
            (Updated::Updated, Updated::Stale(there)) => {
                assert_eq!(there, edited);
                assert_absent(store, &again, "a rotation that came too late").await?;
            }
            (Updated::Moved, Updated::Updated) => {
                assert_holds(store, &again, "an update that came too late").await?;
            }
            answers => panic!("neither came first: {answers:?}"),
        }
    }
    Ok(())
}

/// A logout under either id and a concurrent update that follows: whichever comes first, nothing is left.
pub async fn a_logout_wins_against_a_concurrent_update_that_follows(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let (session, renewed) = rotated(store).await?;
        let logged_out = if round % 4 < 2 { &session } else { &renewed };
        let following = follow(store, &session, &renewed.edited("late"));
        let (followed, deleted) = race(round, following, delete(store, logged_out)).await?;
        assert!(matches!(followed, Updated::Updated | Updated::Missing), "the update answered {followed:?}");
        assert!(deleted, "the update took the session away from the logout");
        assert_absent(store, &renewed, "the update outlived the logout").await?;
    }
    Ok(())
}

/// Eight tasks count concurrently, half of them by the old id: no increment is lost.
pub async fn no_concurrent_increment_that_follows_is_lost(store: &Store) -> Result<(), Error> {
    const TASKS: usize = 8;
    const INCREMENTS: usize = 25;
    let (session, mut renewed) = rotated(store).await?;
    let zero = Record { data: data("0"), expires_at: in_one_hour(), ..renewed.record.next() };
    save(store, &renewed, &zero).await?;
    renewed.record = zero;

    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, mut known) = (store.clone(), renewed.record.clone());
            let (old, new) = (session.key.clone(), renewed.key.clone());
            tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    loop {
                        let next = Record { data: data((count(&known) + 1).to_string()), ..known.next() };
                        let update = if task % 2 == 0 {
                            Update::new(&old, &next, hour()).following()
                        } else {
                            Update::new(&new, &next, hour())
                        };
                        match store.update(update).await? {
                            Updated::Updated => {
                                known = next;
                                break;
                            }
                            Updated::Stale(current) => known = current,
                            answer => panic!("the counter is gone: {answer:?}"),
                        }
                    }
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the store does not panic")?;
    }
    let Loaded::Found(record) = store.load(&renewed.key).await? else { panic!("the counter is gone") };
    assert_eq!(count(&record), TASKS * INCREMENTS, "some increments were lost or counted twice");
    Ok(())
}

fn count(record: &Record) -> usize {
    let text = std::str::from_utf8(record.data.bytes()).expect("the counter is text");
    text.parse().expect("the counter is a number")
}

//! Every write is a compare-and-swap, so no change of another request is lost unseen.

use super::sample::{
    ROUNDS, Session, Store, assert_absent, assert_holds, data, hour, in_one_hour, race, rotate, save, touch,
};
use crate::error::Error;
use crate::record::{Owner, Record};
use crate::store::{Loaded, Updated};

/// An update replaces the whole record.
pub async fn an_update_replaces_the_record(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let record = Record {
        owner: Some(Owner::new("ada")?),
        own_expiry: true,
        idle_timeout: Some(super::sample::HOUR),
        ..session.edited(r#"{"cart":["book"]}"#)
    };
    assert_eq!(save(store, &session, &record).await?, Updated::Updated);
    assert_holds(store, &Session { record, ..session }, "just updated").await
}

/// A write based on an older version changes nothing, and gets the present one to merge with.
pub async fn an_update_needs_the_expected_revision(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let first = session.edited("first");
    assert_eq!(save(store, &session, &first).await?, Updated::Updated);
    let late = save(store, &session, &session.edited("late")).await?;
    assert_eq!(late, Updated::Stale(first.clone()), "another update came first; here is its record");
    assert_holds(store, &Session { record: first, ..session }, "the first update").await
}

/// Update, touch and rotate find no session and leave none.
pub async fn nothing_but_create_creates(store: &Store) -> Result<(), Error> {
    let session = Session::fresh();
    assert_eq!(save(store, &session, &session.edited("1")).await?, Updated::Missing);
    assert_absent(store, &session, "an update does not create").await?;

    assert!(!touch(store, &session, in_one_hour()).await?, "there was nothing to touch");
    assert_absent(store, &session, "a touch does not create").await?;

    let renewed = session.renewed();
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Missing);
    assert_absent(store, &session, "a rotation does not create").await?;
    assert_absent(store, &renewed, "a rotation does not create").await
}

/// Of two concurrent updates, one takes effect; the other gets the winner's record.
pub async fn one_of_two_concurrent_updates_wins(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let (a, b) = (session.edited("a"), session.edited("b"));
        let (winner, loser, stale) =
            match race(round, save(store, &session, &a), save(store, &session, &b)).await? {
                (Updated::Updated, stale) => (a, b, stale),
                (stale, Updated::Updated) => (b, a, stale),
                neither => panic!("neither of two updates took effect: {neither:?}"),
            };
        assert_eq!(stale, Updated::Stale(winner.clone()), "the answer to {loser:?}");
        assert_holds(store, &Session { record: winner, ..session }, "the update that won").await?;
    }
    Ok(())
}

/// Eight tasks count concurrently, each repeating updates that lost a race: no increment is lost.
pub async fn no_concurrent_increment_is_lost(store: &Store) -> Result<(), Error> {
    const TASKS: usize = 8;
    const INCREMENTS: usize = 25;
    let mut session = Session::fresh();
    session.record.data = data("0");
    store.create(&session.key, &session.record, hour()).await?;

    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (store, session) = (store.clone(), session.clone());
            tokio::spawn(async move {
                for _ in 0..INCREMENTS {
                    increment(&store, session.clone()).await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the store does not panic")?;
    }

    let Loaded::Found(record) = store.load(&session.key).await? else { panic!("the counter is gone") };
    assert_eq!(count(&record), TASKS * INCREMENTS, "some increments were lost or counted twice");
    Ok(())
}

async fn increment(store: &Store, mut session: Session) -> Result<(), Error> {
    loop {
        let next = Record { data: data((count(&session.record) + 1).to_string()), ..session.record.next() };
        match save(store, &session, &next).await? {
            Updated::Updated => return Ok(()),
            Updated::Stale(current) => session.record = current,
            answer => panic!("the counter is gone: {answer:?}"),
        }
    }
}

fn count(record: &Record) -> usize {
    let text = std::str::from_utf8(record.data.bytes()).expect("the counter is text");
    text.parse().expect("the counter is a number")
}

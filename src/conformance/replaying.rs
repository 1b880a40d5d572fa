//! A write that is sent twice answers as it did the first time.
//!
//! Clients and proxies repeat what they got no answer to: a redis-rs cluster connection, for one,
//! re-sends writes that timed out. A compare-and-swap that did not know itself would lose against
//! itself, and its request would fail although it succeeded.

use super::sample::{ROUNDS, Session, Store, assert_absent, assert_holds, delete, hour, race, rotate, save};
use crate::error::Error;
use crate::store::{Created, Loaded, Updated};

/// The second answer to a create is `Created` too.
pub async fn a_create_sent_twice_answers_alike(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    assert_eq!(store.create(&session.key, &session.record, hour()).await?, Created::Created);
    assert_holds(store, &session, "created twice").await
}

/// The second answer to an update is `Updated` too.
pub async fn an_update_sent_twice_answers_alike(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let edited = session.edited("edited");
    assert_eq!(save(store, &session, &edited).await?, Updated::Updated);
    assert_eq!(save(store, &session, &edited).await?, Updated::Updated, "the same update again");
    assert_holds(store, &Session { record: edited, ..session }, "updated twice").await
}

/// The second answer to a rotation is `Updated` too.
pub async fn a_rotation_sent_twice_answers_alike(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let renewed = session.renewed();
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Updated);
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Updated, "the same rotation again");
    assert_holds(store, &renewed, "rotated twice").await?;
    assert_eq!(store.load(&session.key).await?, Loaded::Moved, "rotated twice");
    Ok(())
}

/// Writes that are sent twice concurrently get the same answer, even if they meet in the store.
pub async fn writes_sent_twice_at_once_answer_alike(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let created = Session::fresh();
        let create = || {
            let (store, created) = (store.clone(), created.clone());
            async move { store.create(&created.key, &created.record, hour()).await }
        };
        let answers = race(round, create(), create()).await?;
        assert_eq!(answers, (Created::Created, Created::Created), "the same create, twice at once");

        let edited = Session { record: created.edited("edited"), ..created.clone() };
        let update = || save(store, &created, &edited.record);
        let answers = race(round, update(), update()).await?;
        assert_eq!(answers, (Updated::Updated, Updated::Updated), "the same update, twice at once");
        assert_holds(store, &edited, "updated twice at once").await?;

        let renewed = edited.renewed();
        let rotation = || rotate(store, &edited, &renewed);
        let answers = race(round, rotation(), rotation()).await?;
        assert_eq!(answers, (Updated::Updated, Updated::Updated), "the same rotation, twice at once");
        assert_holds(store, &renewed, "rotated twice at once").await?;
        assert_eq!(store.load(&edited.key).await?, Loaded::Moved, "rotated twice at once");
    }
    Ok(())
}

/// With one other write in between, a replay still recognises itself, and changes nothing.
pub async fn a_write_replayed_after_another_is_recognised(store: &Store) -> Result<(), Error> {
    let created = Session::created(store).await?;
    let first = Session { record: created.edited("first"), ..created.clone() };
    save(store, &created, &first.record).await?;
    let answer = store.create(&created.key, &created.record, hour()).await?;
    assert_eq!(answer, Created::Created, "the create, after an update");
    assert_holds(store, &first, "the create was replayed after an update").await?;

    let second = Session { record: first.edited("second"), ..first.clone() };
    save(store, &first, &second.record).await?;
    let answer = save(store, &created, &first.record).await?;
    assert_eq!(answer, Updated::Updated, "the first update, after a second one");
    assert_holds(store, &second, "the first update was replayed after a second one").await?;

    let renewed = second.renewed();
    rotate(store, &second, &renewed).await?;
    let third = Session { record: renewed.edited("third"), ..renewed.clone() };
    save(store, &renewed, &third.record).await?;
    let answer = rotate(store, &second, &renewed).await?;
    assert_eq!(answer, Updated::Updated, "the rotation, after an update at the new key");
    assert_holds(store, &third, "the rotation was replayed after an update").await
}

/// An update replayed after a rotation is recognised by the marker, which has the revision that the rotation replaced.
pub async fn an_update_replayed_after_a_rotation_is_recognised(store: &Store) -> Result<(), Error> {
    let created = Session::created(store).await?;
    let edited = Session { record: created.edited("edited"), ..created.clone() };
    save(store, &created, &edited.record).await?;
    let renewed = edited.renewed();
    rotate(store, &edited, &renewed).await?;
    let answer = save(store, &created, &edited.record).await?;
    assert_eq!(answer, Updated::Updated, "the update took effect before the rotation");
    assert_holds(store, &renewed, "the update was replayed after a rotation").await?;
    assert_eq!(store.load(&created.key).await?, Loaded::Moved, "the marker stays");
    Ok(())
}

/// With two other writes in between, a replay is a stale write like any other, and changes nothing.
pub async fn an_update_replayed_after_two_others_is_stale(store: &Store) -> Result<(), Error> {
    let created = Session::created(store).await?;
    let first = Session { record: created.edited("first"), ..created.clone() };
    let second = Session { record: first.edited("second"), ..first.clone() };
    let third = Session { record: second.edited("third"), ..second.clone() };
    save(store, &created, &first.record).await?;
    save(store, &first, &second.record).await?;
    save(store, &second, &third.record).await?;
    let answer = save(store, &created, &first.record).await?;
    assert_eq!(answer, Updated::Stale(third.record.clone()), "the first update, after the third");
    assert_holds(store, &third, "the first update was replayed after the third").await
}

/// A rotation that is replayed after the logout finds no session to rotate, under either id.
pub async fn a_replayed_rotation_cannot_undo_a_logout(store: &Store) -> Result<(), Error> {
    for with_new_id in [false, true] {
        let session = Session::created(store).await?;
        let renewed = session.renewed();
        rotate(store, &session, &renewed).await?;
        delete(store, if with_new_id { &renewed } else { &session }).await?;
        rotate(store, &session, &renewed).await?;
        assert_absent(store, &renewed, "the rotation was replayed after the logout").await?;
    }
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let renewed = session.renewed();
        let (again, rotating) = (rotate(store, &session, &renewed), rotate(store, &session, &renewed));
        let logging_out = delete(store, &renewed);
        let then_logout = async {
            rotating.await?;
            logging_out.await
        };
        race(round, again, then_logout).await?;
        assert_absent(store, &renewed, "the rotation was replayed during the logout").await?;
    }
    Ok(())
}

//! A session gets a new id in one step, and its old id leads nobody to it.

use super::sample::{
    ROUNDS, Session, Store, assert_absent, assert_holds, hour, in_one_hour, race, rotate, save, touch,
};
use crate::error::Error;
use crate::store::{Created, Loaded, Updated};

/// A rotation leaves the session under its new key, and a marker under the old one.
pub async fn a_rotation_moves_the_session(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let renewed = session.renewed();
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Updated);
    assert_holds(store, &renewed, "the session under its new id").await?;
    assert_eq!(store.load(&session.key).await?, Loaded::Moved, "the session under its old id");
    Ok(())
}

/// A rotation based on an older version changes nothing, and gets the present one.
pub async fn a_rotation_needs_the_expected_revision(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let renewed = session.renewed();
    let edited = Session { record: session.edited("first"), ..session.clone() };
    save(store, &session, &edited.record).await?;
    let answer = rotate(store, &session, &renewed).await?;
    assert_eq!(answer, Updated::Stale(edited.record.clone()), "an update came first; here is its record");
    assert_holds(store, &edited, "the rotation had no effect").await?;
    assert_absent(store, &renewed, "the rotation had no effect").await
}

/// The old id alone allows neither reading, writing, touching nor rotating the session (session
/// fixation), nor storing another one in its place. (Only an update that asks for it follows.)
pub async fn nothing_but_a_deletion_follows_a_rotation(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let renewed = session.renewed();
    rotate(store, &session, &renewed).await?;

    assert_eq!(save(store, &session, &session.edited("late")).await?, Updated::Moved);
    assert_eq!(rotate(store, &session, &session.renewed()).await?, Updated::Moved);
    assert!(!touch(store, &session, in_one_hour()).await?, "a touch of the old id");
    // Even one that knows the new revision.
    let informed = Session { record: renewed.record.clone(), ..session.clone() };
    assert_eq!(save(store, &informed, &informed.edited("late")).await?, Updated::Moved);
    assert!(!touch(store, &informed, in_one_hour()).await?, "a touch of the old id");
    let created = store.create(&session.key, &Session::fresh().record, hour()).await?;
    assert_eq!(created, Created::Taken, "a create at the old id");

    assert_eq!(store.load(&session.key).await?, Loaded::Moved, "the marker stays");
    assert_holds(store, &renewed, "none of it reached the session").await
}

/// Of two concurrent rotations, one takes effect; the other's new id leads nowhere.
pub async fn one_of_two_concurrent_rotations_wins(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let (a, b) = (session.renewed(), session.renewed());
        let (winner, loser) =
            match race(round, rotate(store, &session, &a), rotate(store, &session, &b)).await? {
                (Updated::Updated, Updated::Moved) => (a, b),
                (Updated::Moved, Updated::Updated) => (b, a),
                answers => panic!("one of two rotations takes effect, the other sees it: {answers:?}"),
            };
        assert_holds(store, &winner, "the rotation that won").await?;
        assert_absent(store, &loser, "the rotation that lost left a second session").await?;
        assert_eq!(store.load(&session.key).await?, Loaded::Moved, "the session under its old id");
    }
    Ok(())
}

/// Of a rotation and a concurrent save, one takes effect and the other is told.
pub async fn a_rotation_and_a_concurrent_save_exclude_each_other(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let renewed = session.renewed();
        let edited = Session { record: session.edited("edited"), ..session.clone() };
        let saving = save(store, &session, &edited.record);
        match race(round, rotate(store, &session, &renewed), saving).await? {
            (Updated::Updated, Updated::Moved) => {
                assert_holds(store, &renewed, "the rotation won").await?;
                assert_eq!(store.load(&session.key).await?, Loaded::Moved, "the rotation won");
            }
            (Updated::Stale(current), Updated::Updated) => {
                assert_eq!(current, edited.record, "the rotation is told what won");
                assert_holds(store, &edited, "the save won").await?;
                assert_absent(store, &renewed, "the rotation lost and left a second session").await?;
            }
            answers => panic!("either the rotation or the save takes effect: {answers:?}"),
        }
    }
    Ok(())
}

//! A session that was logged out stays logged out, whatever was in flight.

use super::sample::{
    ROUNDS, Session, Store, assert_absent, assert_holds, delete, in_one_hour, race, rotate, save, touch,
};
use crate::error::Error;
use crate::store::Updated;

/// A request that loaded the session before the logout stores it afterwards.
pub async fn a_late_save_cannot_undo_a_logout(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    delete(store, &session).await?;
    assert_eq!(save(store, &session, &session.edited("late")).await?, Updated::Missing);
    assert_absent(store, &session, "a late save brought it back").await
}

/// A request that loaded the session before the logout touches it afterwards.
pub async fn a_late_touch_cannot_undo_a_logout(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    delete(store, &session).await?;
    assert!(!touch(store, &session, in_one_hour()).await?, "there was nothing left to touch");
    assert_absent(store, &session, "a late touch brought it back").await
}

/// A request that loaded the session before the logout gives it a new id afterwards.
pub async fn a_late_rotation_cannot_undo_a_logout(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let renewed = session.renewed();
    delete(store, &session).await?;
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Missing);
    assert_absent(store, &session, "a late rotation left something at the old key").await?;
    assert_absent(store, &renewed, "a late rotation brought it back").await
}

/// A logout with the id from before a rotation ends the session under its new id.
pub async fn a_logout_with_the_old_id_ends_the_rotated_session(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let renewed = session.renewed();
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Updated);
    assert!(delete(store, &session).await?, "there was a marker to delete");
    assert_absent(store, &renewed, "the logout did not reach the session's new key").await?;
    assert_absent(store, &session, "the logout left the marker").await?;
    assert_eq!(save(store, &renewed, &renewed.edited("late")).await?, Updated::Missing);
    Ok(())
}

/// A logout ends the session after two and after three rotations, from any of its ids; another session stays.
pub async fn a_logout_follows_a_chain_of_rotations(store: &Store) -> Result<(), Error> {
    let bystander = Session::created(store).await?;
    for rotations in 1..=3 {
        for logged_out in 0..=rotations {
            let mut chain = vec![Session::created(store).await?];
            for _ in 0..rotations {
                let last = &chain[chain.len() - 1];
                let renewed = last.renewed();
                assert_eq!(rotate(store, last, &renewed).await?, Updated::Updated);
                chain.push(renewed);
            }
            assert!(delete(store, &chain[logged_out]).await?);
            for session in &chain[logged_out..] {
                let why = format!("after {rotations} rotations, logged out by id {logged_out}");
                assert_absent(store, session, &why).await?;
            }
        }
    }
    assert_holds(store, &bystander, "a session that has nothing to do with it").await
}

/// A logout and a concurrent save: whichever comes first, nothing is left.
pub async fn a_logout_wins_against_a_concurrent_save(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let saving = save(store, &session, &session.edited("late"));
        let (saved, deleted) = race(round, saving, delete(store, &session)).await?;
        assert!(matches!(saved, Updated::Updated | Updated::Missing), "the save answered {saved:?}");
        assert!(deleted, "the save took the session away from the logout");
        assert_absent(store, &session, "the save outlived the logout").await?;
    }
    Ok(())
}

/// A logout and a concurrent touch: whichever comes first, nothing is left.
pub async fn a_logout_wins_against_a_concurrent_touch(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let touching = touch(store, &session, in_one_hour());
        let (_, deleted) = race(round, touching, delete(store, &session)).await?;
        assert!(deleted, "the touch took the session away from the logout");
        assert_absent(store, &session, "the touch outlived the logout").await?;
    }
    Ok(())
}

/// A logout and a concurrent rotation: whichever comes first, nothing is left under either id.
pub async fn a_logout_wins_against_a_concurrent_rotation(store: &Store) -> Result<(), Error> {
    for round in 0..ROUNDS {
        let session = Session::created(store).await?;
        let renewed = session.renewed();
        let rotating = rotate(store, &session, &renewed);
        let (rotated, deleted) = race(round, rotating, delete(store, &session)).await?;
        assert!(matches!(rotated, Updated::Updated | Updated::Missing), "the rotation answered {rotated:?}");
        assert!(deleted, "the rotation took the session away from the logout");
        assert_absent(store, &session, "the rotation left something at the old key").await?;
        assert_absent(store, &renewed, "the session outlived the logout under its new id").await?;
    }
    Ok(())
}

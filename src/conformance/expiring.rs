//! Nothing is kept without a time to live, and only activity moves the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::sample::{
    HOUR, Session, Store, assert_absent, assert_holds, delete, hour, in_one_hour, rotate, save, touch,
};
use crate::error::Error;
use crate::record::{Owner, Record};
use crate::store::{Created, Loaded, Rotation, Touch, Update, Updated};
use crate::ttl::Ttl;

pub(super) const SHORT: Duration = Duration::from_millis(30);
/// Long enough for a write to come in time on a busy machine.
const A_SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for a session to end; the store's clock is a real one.
pub(super) async fn assert_ends(store: &Store, session: &Session, why: &str) -> Result<(), Error> {
    let started = Instant::now();
    while store.load(&session.key).await? != Loaded::Absent {
        assert!(started.elapsed() < PATIENCE, "{why}: still there after {PATIENCE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A session that is not used again ends.
pub async fn a_session_ends_with_its_time_to_live(store: &Store) -> Result<(), Error> {
    let session = Session::created_for(store, SHORT).await?;
    let bystander = Session::created(store).await?;
    assert_ends(store, &session, "created for 30 ms").await?;
    assert_holds(store, &bystander, "created for an hour").await
}

/// Only a create works on an expired session, even if the store has not cleaned up yet.
pub async fn an_expired_session_stays_expired(store: &Store) -> Result<(), Error> {
    let session = Session::created_for(store, SHORT).await?;
    assert_ends(store, &session, "created for 30 ms").await?;

    assert!(!touch(store, &session, in_one_hour()).await?, "a touch of an expired session");
    assert_eq!(save(store, &session, &session.edited("late")).await?, Updated::Missing);
    let renewed = session.renewed();
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Missing);
    assert_absent(store, &session, "expired").await?;
    assert_absent(store, &renewed, "a rotation of an expired session").await?;
    assert!(!delete(store, &session).await?, "there was nothing left to delete");

    let successor = Session { record: Session::fresh().record, ..session };
    let created = store.create(&successor.key, &successor.record, hour()).await?;
    assert_eq!(created, Created::Created, "an expired session takes no place");
    assert_holds(store, &successor, "created where another one had expired").await
}

/// An update applies its own time to live, be it longer or shorter.
pub async fn an_update_sets_the_time_to_live(store: &Store) -> Result<(), Error> {
    let shorter = Session::created(store).await?;
    let edited = shorter.edited("shorter");
    store.update(Update::new(&shorter.key, &edited, Ttl::new(SHORT))).await?;
    assert_ends(store, &shorter, "updated for 30 ms").await?;

    let session = Session::created_for(store, A_SECOND).await?;
    let longer = Session { record: session.edited("longer"), ..session.clone() };
    assert_eq!(save(store, &session, &longer.record).await?, Updated::Updated);
    sleep(A_SECOND + SHORT).await;
    assert_holds(store, &longer, "updated for an hour").await
}

/// A rotation applies its own time to live, and its marker lives no longer than that.
pub async fn a_rotation_sets_the_time_to_live(store: &Store) -> Result<(), Error> {
    let (session, ttl) = (Session::created(store).await?, Ttl::new(SHORT));
    let renewed = session.renewed();
    store.rotate(Rotation::new(&session.key, &renewed.key, &renewed.record, ttl)).await?;
    assert_ends(store, &renewed, "rotated for 30 ms").await?;
    assert_ends(store, &session, "the marker of a session that was rotated for 30 ms").await?;

    let session = Session::created_for(store, A_SECOND).await?;
    let renewed = session.renewed();
    assert_eq!(rotate(store, &session, &renewed).await?, Updated::Updated);
    sleep(A_SECOND + SHORT).await;
    assert_holds(store, &renewed, "rotated for an hour").await?;
    assert_eq!(store.load(&session.key).await?, Loaded::Moved, "the marker of a longer session");
    Ok(())
}

/// A touch changes `expires_at`; data, revisions and all other fields stay unchanged.
pub async fn a_touch_moves_the_end_and_nothing_else(store: &Store) -> Result<(), Error> {
    let created = Session::created(store).await?;
    let record = Record {
        owner: Some(Owner::new("ada")?),
        own_expiry: true,
        idle_timeout: Some(HOUR),
        absolute_deadline: Some(in_one_hour().saturating_add(HOUR)),
        ..created.edited("edited")
    };
    let mut session = Session { record, ..created.clone() };
    save(store, &created, &session.record).await?;

    let later = session.record.expires_at.saturating_add(A_SECOND);
    assert!(touch(store, &session, later).await?, "a later end");
    session.record.expires_at = later;
    assert_holds(store, &session, "just touched").await?;
    let answer = save(store, &session, &session.edited("later")).await?;
    assert_eq!(answer, Updated::Updated, "a touch is no new version");
    Ok(())
}

/// A session that is touched in time outlives its first time to live.
pub async fn a_touch_keeps_a_session_alive(store: &Store) -> Result<(), Error> {
    let mut session = Session::created_for(store, A_SECOND).await?;
    let later = in_one_hour();
    assert!(touch(store, &session, later).await?, "it was not expired yet");
    session.record.expires_at = later;
    sleep(A_SECOND + SHORT).await;
    assert_holds(store, &session, "touched for an hour").await
}

/// A touch that arrives late, with an end that is earlier than the present one, has no effect.
pub async fn a_touch_never_shortens(store: &Store) -> Result<(), Error> {
    let mut session = Session::fresh();
    session.record.expires_at = in_one_hour().saturating_add(HOUR);
    store.create(&session.key, &session.record, hour()).await?;
    let earlier = Touch::new(&session.key, &session.record, in_one_hour(), Ttl::new(SHORT));
    let touched = store.touch(earlier).await?;
    assert!(!touched, "the session ends later already");
    sleep(SHORT * 3).await;
    assert_holds(store, &session, "a touch with an earlier end").await
}

/// Of many concurrent requests that would touch a session, one does.
pub async fn of_touches_at_once_one_counts(store: &Store) -> Result<(), Error> {
    const REQUESTS: u64 = 20;
    let session = Session::created(store).await?;
    let end = session.record.expires_at.saturating_add(HOUR);
    let touches = (0..REQUESTS).map(|n| {
        let (store, session) = (Arc::clone(store), session.clone());
        // Each is a little later than the one before.
        let end = end.saturating_add(Duration::from_millis(n));
        tokio::spawn(async move {
            store.touch(Touch::new(&session.key, &session.record, end, Ttl::new(2 * HOUR))).await
        })
    });
    let touches: Vec<_> = touches.collect();
    let mut counted = 0;
    for touched in touches {
        counted += u64::from(touched.await.expect("it does not panic")?);
    }
    assert_eq!(counted, 1, "the others come too late");
    Ok(())
}

/// A touch that was decided on an older version has no effect: the version that it does not know may
/// have an expiry of its own ("remember me").
pub async fn a_touch_needs_the_expected_revision(store: &Store) -> Result<(), Error> {
    let session = Session::created(store).await?;
    let record = Record { own_expiry: true, idle_timeout: Some(HOUR), ..session.edited("remember me") };
    let remembered = Session { record, ..session.clone() };
    save(store, &session, &remembered.record).await?;
    let later = remembered.record.expires_at.saturating_add(HOUR);
    assert!(!touch(store, &session, later).await?, "another write came first");
    assert_holds(store, &remembered, "a touch that expected an older version").await
}

/// The extremes of [`Ttl`]: nothing overflows, and nothing is kept for ever.
pub async fn the_shortest_and_the_longest_time_to_live_are_kept(store: &Store) -> Result<(), Error> {
    let shortest = Session::created_for(store, Duration::ZERO).await?;
    assert_ends(store, &shortest, "created for a millisecond").await?;

    let (mut session, longest) = (Session::fresh(), Ttl::new(Duration::MAX));
    session.record.expires_at = session.record.created_at.saturating_add(longest.as_duration());
    assert_eq!(store.create(&session.key, &session.record, longest).await?, Created::Created);
    let later = session.record.expires_at.saturating_add(HOUR);
    assert!(store.touch(Touch::new(&session.key, &session.record, later, longest)).await?);
    session.record.expires_at = later;
    assert_holds(store, &session, "touched for 400 days").await?;
    let edited = Session { record: session.edited("edited"), ..session.clone() };
    let updated =
        store.update(Update::new(&session.key, &edited.record, longest).replacing(&session.record)).await?;
    assert_eq!(updated, Updated::Updated);
    assert_holds(store, &edited, "updated for 400 days").await
}

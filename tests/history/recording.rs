//! Which entries there are, and what is in them.

use std::time::Duration;

use session_store::{
    AuthMethod, Clock as _, Created, Error, Evict, HistoryBounds, HistoryEntry, HistoryEvent, KeyRing,
    Loaded, Record, Rotation, Session, SessionKey, SessionManager, SessionStore, Touch, Ttl, Update, Updated,
    async_trait,
};

use crate::stage::{history_of, remembering, remembering_with, sign_in, told};
use crate::world::{IDLE, World};

const SECOND: Duration = Duration::from_secs(1);
const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_sign_in_and_its_end_are_of_one_session_whatever_ids_it_had() {
    let world = remembering();
    let began = world.clock.now();
    let mut ada = sign_in(&world.manager, "ada", "a phone").await;
    let first_key = ada.key(&world.manager).await;
    world.clock.advance(SECOND);
    ada.visit(&world.manager, Session::renew).await.unwrap();
    world.clock.advance(SECOND);
    ada.visit(&world.manager, |session| session.confirm([AuthMethod::Otp])).await.unwrap();
    world.clock.advance(SECOND);
    let last_key = ada.key(&world.manager).await;
    let devices = world.manager.sessions_of("ada").await.unwrap();
    let history = world.manager.history_of("ada").await.unwrap();
    assert!(history.iter().all(|entry| entry.is_about(&devices[0])), "it still lasts");
    ada.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();

    let history = world.manager.history_of("ada").await.unwrap();
    assert_eq!(told(&history), ["signedOut a phone", "confirmed a phone", "signedIn a phone"]);
    let [out, confirmed, sign_in] = <[HistoryEntry; 3]>::try_from(history).unwrap();
    let at = |entry: &HistoryEntry| entry.at.saturating_since(began).as_secs();
    assert_eq!((at(&out), at(&confirmed), at(&sign_in)), (3, 2, 0));
    assert_eq!((&out.session, &confirmed.session, &sign_in.session), (&last_key, &last_key, &first_key));
    assert_eq!((out.began, confirmed.began, sign_in.began), (began, began, began));
    assert!(out.is_of_same_session(&sign_in) && out.what.is_end() && !confirmed.what.is_end());
}

#[tokio::test]
async fn each_end_has_its_name() {
    use HistoryEvent::{Evicted, Revoked};

    let world = remembering_with(|builder| builder.max_sessions_per_owner(3, Evict::Oldest));
    let manager = &world.manager;
    let later = || world.clock.advance(SECOND);
    for device in ["evicted", "revoked", "all", "other"] {
        sign_in(manager, "ada", device).await;
        later();
    }
    let devices = manager.sessions_of("ada").await.unwrap();
    let revoked = devices.iter().find(|it| it.label.as_ref().unwrap().as_str() == "revoked").unwrap();
    manager.revoke(&revoked.key).await.unwrap();
    later();
    manager.revoke_all("ada").await.unwrap();
    later();
    let history = manager.history_of("ada").await.unwrap();
    let ends: Vec<_> = history.iter().filter(|entry| entry.what.is_end()).map(|entry| entry.what).collect();
    assert_eq!(ends, [Revoked, Revoked, Revoked, Evicted]);
    // The label of those that were not read on their way out is that of the sign-in.
    for end in history.iter().filter(|entry| entry.what.is_end()) {
        let began =
            |entry: &&HistoryEntry| entry.what == HistoryEvent::SignedIn && entry.is_of_same_session(end);
        let sign_in = history.iter().find(began).unwrap();
        assert!(end.label.is_none() || end.label == sign_in.label);
    }

    let mut bob = sign_in(manager, "bob", "a laptop").await;
    later();
    bob.visit(manager, |session| session.sign_in("carl", |_| ())).await.unwrap();
    assert_eq!(history_of(manager, "bob").await, ["replaced a laptop", "signedIn a laptop"]);
    assert_eq!(history_of(manager, "carl").await, ["signedIn ?"], "the label was bob's");

    let mut visitor = world.visitor(3).await;
    visitor.visit(manager, |session| session.set_owner("dora")).await.unwrap();
    assert_eq!(history_of(manager, "dora").await, ["ownerNamed ?"]);
}

#[tokio::test]
async fn an_expired_session_ended_when_its_time_was_over() {
    let world = remembering();
    let (first, second) = (&world.manager, world.instance(|it| it.history(HistoryBounds::default())));
    let mut ada = sign_in(first, "ada", "a phone").await;
    let end = ada.begin(first).session().await.unwrap().expires_at().unwrap();
    world.clock.advance(IDLE * 3);
    // On two instances, and twice on one.
    for manager in [first, &second, &second] {
        ada.visit(manager, |_| ()).await;
        manager.flush_events().await;
    }
    let history = first.history_of("ada").await.unwrap();
    assert_eq!(told(&history), ["expired a phone", "signedIn a phone"]);
    assert_eq!(history[0].at, end);
}

#[tokio::test]
async fn visitors_and_what_did_not_happen_leave_nothing() {
    let world = remembering_with(|builder| builder.max_sessions_per_owner(1, Evict::Refuse));
    let manager = &world.manager;
    let mut visitor = world.visitor(3).await;
    visitor.visit(manager, Session::renew).await.unwrap();
    visitor.begin(manager).session().await.unwrap().destroy().await.unwrap();
    // A handler that failed.
    let request = manager.begin(None);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    let _ = request.finish(500).await;
    assert_eq!(history_of(manager, "ada").await, NOTHING);
    sign_in(manager, "ada", "a phone").await;
    // There is no room.
    let request = manager.begin(None);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    assert!(request.finish(200).await.failure.is_some());
    assert_eq!(history_of(manager, "ada").await, ["signedIn a phone"]);
}

#[tokio::test]
async fn the_bounds_hold_for_what_is_kept_and_what_is_shown() {
    let age = Duration::from_secs(100);
    let bounds = HistoryBounds::default().entries(3).age(age);
    let world = World::with(|builder| builder.history(bounds));
    for device in ["a", "b", "c", "d"] {
        sign_in(&world.manager, "ada", device).await;
        world.clock.advance(SECOND);
    }
    assert_eq!(history_of(&world.manager, "ada").await, ["signedIn d", "signedIn c", "signedIn b"]);
    let strict = world.instance(|builder| builder.history(bounds.entries(1)));
    assert_eq!(history_of(&strict, "ada").await, ["signedIn d"]);
    world.clock.advance(age - 2 * SECOND);
    assert_eq!(history_of(&world.manager, "ada").await, ["signedIn d"], "c is as old as that now");
    world.clock.advance(SECOND);
    assert_eq!(history_of(&world.manager, "ada").await, NOTHING);
}

#[tokio::test]
async fn a_manager_without_a_history_records_nothing_and_reads_all_that_there_is() {
    let world = World::with(|builder| builder.history(HistoryBounds::default().entries(1)));
    let other = world.instance(|builder| builder);
    sign_in(&other, "ada", "a phone").await;
    assert_eq!(history_of(&world.manager, "ada").await, NOTHING);
    sign_in(&world.manager, "ada", "a laptop").await;
    world.manager.flush_events().await;
    assert_eq!(history_of(&other, "ada").await, ["signedIn a laptop"]);
    assert!(matches!(other.history_of("").await, Err(Error::InvalidInput { .. })));
}

#[tokio::test]
async fn all_histories_are_gone_through() {
    use futures_util::TryStreamExt as _;
    let world = remembering();
    for owner in 0..20 {
        sign_in(&world.manager, &owner.to_string(), "a phone").await;
    }
    world.manager.flush_events().await;
    let shares = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&shares);
    let histories = world.manager.histories().on_progress(move |count, share| {
        seen.lock().unwrap().push((count, share));
    });
    let histories: Vec<_> = histories.try_collect().await.unwrap();
    assert_eq!(histories.len(), 20);
    assert!(histories.iter().all(|history| told(&history.entries) == ["signedIn a phone"]));
    assert_eq!(*shares.lock().unwrap(), [(20, 1.0)]);
}

#[test]
fn what_cannot_be_kept_is_refused_when_the_service_starts() {
    let build = |bounds| {
        let store = session_store::MemoryStore::new();
        SessionManager::<u32>::builder(store, KeyRing::generate()).history(bounds).build().map(|_| ())
    };
    let bounds = HistoryBounds::default();
    assert!(build(bounds.entries(1).age(SECOND)).is_ok() && build(HistoryBounds::WIDEST).is_ok());
    for bounds in [
        bounds.entries(0),
        bounds.entries(10_001),
        bounds.age(Duration::from_millis(999)),
        bounds.age(HistoryBounds::LONGEST_AGE + SECOND),
    ] {
        assert!(matches!(build(bounds), Err(Error::Config(_))), "{bounds:?}");
    }
    let without = SessionManager::<u32>::builder(Plain, KeyRing::generate()).history(bounds).build();
    assert!(matches!(without, Err(Error::Config(_))));
}

#[tokio::test]
async fn a_store_without_a_history_has_none_to_show() {
    let manager = SessionManager::<u32>::builder(Plain, KeyRing::generate()).build().unwrap();
    assert!(matches!(manager.history_of("ada").await, Err(Error::Unsupported { .. })));
}

/// It holds nothing.
#[derive(Debug)]
struct Plain;

#[async_trait]
impl SessionStore for Plain {
    async fn load(&self, _: &SessionKey) -> Result<Loaded, Error> {
        Ok(Loaded::Absent)
    }

    async fn create(&self, _: &SessionKey, _: &Record, _: Ttl) -> Result<Created, Error> {
        Ok(Created::Created)
    }

    async fn update(&self, _: Update<'_>) -> Result<Updated, Error> {
        Ok(Updated::Missing)
    }

    async fn touch(&self, _: Touch<'_>) -> Result<bool, Error> {
        Ok(false)
    }

    async fn rotate(&self, _: Rotation<'_>) -> Result<Updated, Error> {
        Ok(Updated::Missing)
    }

    async fn delete(&self, _: &SessionKey) -> Result<bool, Error> {
        Ok(false)
    }
}

#[cfg(feature = "seal")]
#[tokio::test]
async fn sealed_labels_are_sealed_in_the_history_too() {
    use futures_util::TryStreamExt as _;
    use session_store::{Key, Sealing};

    let (old, new) = (Key::generate(), Key::generate());
    let sealing = |keys: &KeyRing| Sealing::new(keys).unwrap().labels();
    let world = remembering_with(|builder| builder.seal(sealing(&KeyRing::new(old.clone()))));
    sign_in(&world.manager, "ada", "a phone").await;
    assert_eq!(history_of(&world.manager, "ada").await, ["signedIn a phone"]);
    // The store knows of no phone, nor does an instance without the key.
    let instance = |ring: Option<KeyRing>| {
        world.instance(|builder| {
            let builder = builder.history(HistoryBounds::default());
            match ring {
                Some(ring) => builder.seal(sealing(&ring)),
                None => builder,
            }
        })
    };
    assert_eq!(history_of(&instance(None), "ada").await, ["signedIn ?"]);
    assert_eq!(history_of(&instance(Some(KeyRing::new(new.clone()))), "ada").await, ["signedIn ?"]);
    let rotated = instance(Some(KeyRing::new(new).with_previous(old)));
    assert_eq!(history_of(&rotated, "ada").await, ["signedIn a phone"]);
    let histories: Vec<_> = rotated.histories().try_collect().await.unwrap();
    assert_eq!(told(&histories[0].entries), ["signedIn a phone"]);
}

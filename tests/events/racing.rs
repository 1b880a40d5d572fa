//! Several at once: one of them does it, and tells of it.

use session_store::owners::Revocation;
use session_store::{EventKind, Owner, OwnerHash, RevokedBy, Session, SessionStore as _};
use tokio::task::JoinSet;

use crate::told::{Told, name};
use crate::world::{Browser, World};

async fn signed_in(world: &World, owner: &str) -> Browser {
    let mut browser = Browser::default();
    browser.visit(&world.manager, |session| session.sign_in(owner, |_| ())).await.unwrap();
    browser
}

#[tokio::test]
async fn of_two_logouts_at_once_one_is_told() {
    let told = Told::default();
    let world = World::with(|builder| told.listen(builder));
    let ada = signed_in(&world, "ada").await;
    let sessions = [ada.begin(&world.manager).session().await, ada.begin(&world.manager).session().await]
        .map(Result::unwrap);
    told.take(&world.manager).await;
    world.store.hold("delete");
    let mut logouts = JoinSet::new();
    for session in sessions {
        logouts.spawn(async move { session.destroy().await.unwrap() });
    }
    while world.store.calls() != ["delete", "delete"] {
        tokio::task::yield_now().await;
    }
    world.store.let_go();
    logouts.join_all().await;
    assert_eq!(told.names(&world.manager).await, ["signed_out"]);
    assert_eq!(world.manager.counts().destroyed, 1);
}

#[tokio::test]
async fn of_two_renewals_at_once_one_is_told_and_one_is_a_conflict() {
    let told = Told::default();
    let world = World::with(|builder| told.listen(builder));
    let ada = signed_in(&world, "ada").await;
    let requests = [ada.begin(&world.manager), ada.begin(&world.manager)];
    for request in &requests {
        request.session().await.unwrap().renew().unwrap();
    }
    told.take(&world.manager).await;
    world.store.hold("rotate");
    let mut renewals = JoinSet::new();
    for request in requests {
        renewals.spawn(async move { request.finish(200).await.failure.is_some() });
    }
    while world.store.calls().iter().filter(|call| **call == "rotate").count() < 2 {
        tokio::task::yield_now().await;
    }
    world.store.let_go();
    let mut failed = renewals.join_all().await;
    failed.sort_unstable();
    assert_eq!(failed, [false, true]);
    let mut names = told.names(&world.manager).await;
    names.sort_unstable();
    assert_eq!(names, ["conflict", "renewed"]);
}

/// Its sign-in is answered by a 409, and so was none.
#[tokio::test]
async fn a_session_that_is_revoked_before_its_sign_in_is_answered_has_no_end() {
    let told = Told::default();
    let world = World::with(|builder| told.listen(builder));
    world.store.hold("confirm");
    let request = world.manager.begin(None);
    request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
    let answered = tokio::spawn(async move { request.finish(200).await.failure.is_some() });
    world.store.called("confirm").await;
    // By an instance that comes no further.
    let index = world.store.inner.owners().unwrap();
    index.revoke(OwnerHash::of(&Owner::new("ada").unwrap()), Revocation::All).await.unwrap();
    world.store.let_go();
    assert!(answered.await.unwrap());
    assert_eq!(world.manager.sessions_of("ada").await.unwrap().len(), 0);
    assert_eq!(told.names(&world.manager).await, ["conflict"]);
}

/// Two instances end all sessions of one owner at once, while each of these is logged out too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_sessions_ends_once() {
    const SESSIONS: usize = 100;
    let told = [Told::default(), Told::default()];
    let world = World::with(|builder| told[0].listen(builder));
    let instances = [world.manager.clone(), world.instance(|builder| told[1].listen(builder))];
    let mut sessions: Vec<Session<_>> = Vec::new();
    for _ in 0..SESSIONS {
        let session = instances[0].begin(None).session().await.unwrap();
        session.sign_in("ada", |_| ()).unwrap();
        session.save().await.unwrap();
        sessions.push(session);
    }
    let mut keys: Vec<_> = sessions.iter().map(|session| session.key().unwrap().to_string()).collect();
    told[0].take(&instances[0]).await;

    let mut ending = JoinSet::new();
    for session in sessions.drain(..SESSIONS / 2) {
        ending.spawn(async move { session.destroy().await.unwrap() });
    }
    for instance in instances.clone() {
        ending.spawn(async move { _ = instance.revoke_all("ada").await.unwrap() });
    }
    ending.join_all().await;

    let mut ended = Vec::new();
    for (told, instance) in told.iter().zip(&instances) {
        let events = told.take(instance).await;
        for event in &events {
            let ends = [EventKind::SignedOut, EventKind::Revoked { by: RevokedBy::All }];
            assert!(ends.contains(&event.kind), "{}", name(event));
        }
        let counts = instance.counts();
        assert_eq!(events.len() as u64, counts.destroyed + counts.revoked);
        ended.extend(events.into_iter().map(|event| event.session.unwrap().to_string()));
    }
    keys.sort_unstable();
    ended.sort_unstable();
    assert_eq!(ended, keys);
}

#[tokio::test]
async fn a_revocation_of_a_hundred_sessions_is_a_hundred_events() {
    let told = Told::default();
    let world = World::with(|builder| told.listen(builder));
    for _ in 0..100 {
        signed_in(&world, "ada").await;
    }
    told.take(&world.manager).await;
    assert_eq!(world.manager.revoke_all("ada").await.unwrap(), 100);
    assert_eq!(told.names(&world.manager).await, ["revoked by all"; 100]);
    assert_eq!(world.manager.counts().events_dropped, 0);
}

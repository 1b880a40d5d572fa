//! `Session::touch`, for pages that stay open without sending requests.

use session_store::{Conflict, Error, Session};

use crate::world::{ABSOLUTE, Account, Browser, IDLE, World};

async fn open_page(world: &World, visitor: &Browser) -> Session<Account> {
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    // The response of a socket begins at once, and the session is used for as long as it goes on.
    assert!(request.finish(200).await.failure.is_none());
    world.store.forget_calls();
    session
}

#[tokio::test]
async fn a_page_keeps_its_session_alive_by_few_writes() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    let page = open_page(&world, &visitor).await;
    for _ in 0..40 {
        world.clock.advance(IDLE / 20);
        page.touch().await.unwrap();
    }
    assert_eq!(world.store.calls(), ["touch"; 20]);
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
    assert_eq!(world.manager.counts().touched, 20);
}

/// SECURITY 9.
#[tokio::test]
async fn no_touch_goes_beyond_the_absolute_timeout() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    let page = open_page(&world, &visitor).await;
    let steps = ABSOLUTE.as_secs() / (IDLE / 2).as_secs();
    for _ in 1..steps {
        world.clock.advance(IDLE / 2);
        page.touch().await.unwrap();
    }
    world.clock.advance(IDLE / 2);
    assert!(matches!(page.touch().await, Err(Error::Conflict(Conflict::Ended))));
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());
}

#[tokio::test]
async fn a_touch_goes_on_from_what_others_stored() {
    let world = World::new();
    let mut visitor = world.visitor(5).await;
    let page = open_page(&world, &visitor).await;
    visitor.visit(&world.manager, |session| session.write(|a| a.visits = 6)).await.unwrap();
    world.clock.advance(IDLE / 2);
    world.store.forget_calls();
    page.touch().await.unwrap();
    assert_eq!(world.store.calls(), ["touch", "load", "touch"]);
    assert_eq!(page.read(|a| a.visits), 5, "it was not reloaded");

    world.clock.advance(IDLE * 3 / 4);
    assert_eq!(visitor.sees(&world.manager).await.visits, 6);
    // Another tab was faster: nothing is left to do.
    visitor.visit(&world.manager, |session| session.read(|_| ())).await;
    world.store.forget_calls();
    page.touch().await.unwrap();
    assert_eq!(world.store.calls(), ["touch", "load"]);
}

#[tokio::test]
async fn a_touch_brings_no_session_back_and_follows_none() {
    let world = World::new();
    let nobody = world.manager.begin(None).session().await.unwrap();
    nobody.touch().await.unwrap();
    assert!(world.store.calls().is_empty());

    let visitor = world.visitor(5).await;
    let page = open_page(&world, &visitor).await;
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().destroy().await.unwrap();
    world.clock.advance(IDLE / 2);
    assert!(matches!(page.touch().await, Err(Error::Conflict(Conflict::Ended))));
    assert!(visitor.begin(&world.manager).session().await.unwrap().is_new());

    let mut visitor = world.visitor(5).await;
    let page = open_page(&world, &visitor).await;
    visitor.visit(&world.manager, Session::renew).await.unwrap();
    world.clock.advance(IDLE / 2);
    assert!(matches!(page.touch().await, Err(Error::Conflict(Conflict::Moved))));
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_and_no_more() {
    let world = World::new();
    let visitor = world.visitor(5).await;
    let page = open_page(&world, &visitor).await;
    world.clock.advance(IDLE / 2);
    world.store.go_down(true);
    assert!(matches!(page.touch().await, Err(Error::Unavailable { .. })));
    world.store.go_down(false);
    page.touch().await.unwrap();
}

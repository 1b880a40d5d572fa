//! The client's own id, sent again: under a new key, or because it lives longer.

use session_store::{KeyRing, ResponseActions, Session, SessionCookie, SessionManager};

use crate::world::{Account, Browser, IDLE, SECOND, SECRET, World};

type Handler = fn(&Session<Account>);

/// What a request may do while its session moves or ends. None of them asks for a new id.
const HANDLERS: [Handler; 2] = [|_| (), |session| session.write(|a| a.name = "late".into()).unwrap()];

/// A manager under a newer secret, which knows the one before.
fn rotated(world: &World) -> SessionManager<Account> {
    let keys = KeyRing::parse(&format!("{SECOND},{SECRET}")).unwrap();
    world.instance_with(keys, |builder| builder)
}

/// A request that is slow: what `meanwhile` does comes between its handler and its response.
async fn slow_request(
    manager: &SessionManager<Account>,
    browser: &Browser,
    handler: Handler,
    meanwhile: impl AsyncFnOnce(),
) -> ResponseActions {
    let request = browser.begin(manager);
    handler(&request.session().await.unwrap());
    meanwhile().await;
    request.finish(200).await
}

#[tokio::test]
async fn a_slow_request_under_an_old_key_does_not_sign_out_whoever_signed_in_meanwhile() {
    for handler in HANDLERS {
        let world = World::new();
        let manager = rotated(&world);
        let before = world.visitor(3).await;
        let mut browser = before.clone();
        let actions = slow_request(&manager, &before, handler, async || {
            browser.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
        });
        let actions = actions.await;
        assert!(actions.set_cookie.is_none(), "{actions:?}");
        let session = browser.begin(&manager).session().await.unwrap();
        assert_eq!(session.owner().unwrap().as_str(), "ada");
    }
}

#[tokio::test]
async fn a_slow_request_under_an_old_key_does_not_bring_back_the_cookie_of_a_logout() {
    for handler in HANDLERS {
        let world = World::new();
        let manager = rotated(&world);
        let before = world.visitor(3).await;
        let actions = slow_request(&manager, &before, handler, async || {
            before.begin(&manager).session().await.unwrap().destroy().await.unwrap();
        });
        assert!(actions.await.set_cookie.is_none());
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_asked_for_keeps_its_cookie_and_its_answer() {
    let world = World::new();
    let manager = rotated(&world);
    let before = world.visitor(3).await;
    let actions = slow_request(&manager, &before, |_| (), async || world.store.go_down(true)).await;
    assert!(actions.set_cookie.is_none() && actions.failure.is_none());
    world.store.go_down(false);
    assert!(slow_request(&manager, &before, |_| (), async || ()).await.set_cookie.is_some());
}

/// Nothing else costs a read of the store.
#[tokio::test]
async fn a_write_or_a_touch_of_the_response_needs_no_other_proof() {
    let world = World::new();
    let manager = rotated(&world);
    let browser = world.visitor(3).await;
    let written = slow_request(&manager, &browser, HANDLERS[1], async || ()).await;
    assert!(written.set_cookie.is_some());
    assert_eq!(world.store.calls(), ["load", "update"]);

    world.clock.advance(IDLE / 2);
    world.store.forget_calls();
    assert!(slow_request(&manager, &browser, |_| (), async || ()).await.set_cookie.is_some());
    assert_eq!(world.store.calls(), ["load", "touch"]);

    world.store.forget_calls();
    assert!(slow_request(&manager, &browser, |_| (), async || ()).await.set_cookie.is_some());
    assert_eq!(world.store.calls(), ["load", "load"]);

    let mut current = Browser::default();
    current.visit(&manager, |session| session.write(|a| a.visits = 1)).await.unwrap();
    world.store.forget_calls();
    assert!(slow_request(&manager, &current, |_| (), async || ()).await.set_cookie.is_none());
    assert_eq!(world.store.calls(), ["load"]);
}

/// A cookie with a `Max-Age` is sent again when its session is extended, by a handler too.
#[tokio::test]
async fn a_persistent_cookie_does_not_sign_out_whoever_signed_in_meanwhile() {
    let persistent = SessionCookie::new().name("id").persistent(true);
    for key_is_old in [false, true] {
        for handler in HANDLERS {
            let world = World::with(|builder| builder.cookie(persistent.clone()));
            let manager = if key_is_old {
                let keys = KeyRing::parse(&format!("{SECOND},{SECRET}")).unwrap();
                world.instance_with(keys, |builder| builder.cookie(persistent.clone()))
            } else {
                world.manager.clone()
            };
            let before = world.visitor(3).await;
            world.clock.advance(IDLE / 2);
            let mut browser = before.clone();

            let request = before.begin(&manager);
            let session = request.session().await.unwrap();
            session.update(|a| a.visits += 1).await.unwrap();
            browser.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
            handler(&session);
            assert!(request.finish(200).await.set_cookie.is_none(), "{key_is_old}");

            // Where nobody did, it is sent.
            let request = browser.begin(&manager);
            world.clock.advance(IDLE / 2);
            let session = request.session().await.unwrap();
            session.update(|a| a.visits += 1).await.unwrap();
            handler(&session);
            assert!(request.finish(200).await.set_cookie.is_some(), "{key_is_old}");
        }
    }
}

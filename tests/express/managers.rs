//! A manager that would not understand Express is not built.

use serde::{Deserialize, Serialize};
use session_store::{
    Error, FallbackPolicy, FallbackStore, Key, KeyRing, RedisLayout, RedisStore, SameSite, SessionCookie,
    SessionData, SessionManager, SessionManagerBuilder, SessionStore, Values,
};

use super::stage::{cookie, layout};
use crate::support::redis::Server;

async fn store() -> (Server, RedisStore) {
    let server = Server::start().await;
    let store =
        RedisStore::builder(server.url()).layout(RedisLayout::express(layout())).connect().await.unwrap();
    (server, store)
}

fn manager<T: SessionData>(store: impl SessionStore) -> SessionManagerBuilder<T> {
    SessionManager::builder(store, KeyRing::express("keyboard cat").unwrap())
}

#[track_caller]
fn expect_refusal<T: SessionData>(builder: SessionManagerBuilder<T>, advice: &str) {
    match builder.build() {
        Err(Error::Config(message)) => assert!(message.contains(advice), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_cookie_is_the_layouts() {
    let (_server, store) = store().await;
    let store = std::sync::Arc::new(store);
    assert_eq!(manager::<Values>(store.clone()).build().unwrap().cookie_name(), "connect.sid");
    assert!(manager::<Values>(store.clone()).cookie(cookie()).build().is_ok());
    for (other, attribute) in [
        (SessionCookie::new(), "name"),
        (cookie().path("/app"), "Path"),
        (cookie().domain("example.com"), "Domain"),
        (cookie().secure(true), "Secure"),
        (cookie().same_site(SameSite::Strict), "SameSite"),
        (cookie().persistent(true), "persistent"),
    ] {
        expect_refusal(manager::<Values>(store.clone()).cookie(other), attribute);
    }
    // However far down the store is.
    let beside_memory = FallbackStore::new(store, FallbackPolicy::WhileDown);
    expect_refusal(manager::<Values>(beside_memory).cookie(SessionCookie::new()), "name");
}

#[tokio::test]
async fn keys_codec_and_data_are_such_as_express_understands() {
    #[derive(Default, Serialize, Deserialize)]
    struct WithId {
        id: u32,
    }

    let (_server, store) = store().await;
    let store = std::sync::Arc::new(store);
    let own = Key::new("oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x").unwrap();
    let stranger = SessionManager::<Values>::builder(store.clone(), KeyRing::new(own.clone()));
    expect_refusal(stranger, "KeyRing::express");
    let leaving = KeyRing::new(own).with_previous_express("keyboard cat").unwrap();
    assert!(SessionManager::<Values>::builder(store.clone(), leaving).build().is_ok());
    expect_refusal(manager::<u32>(store.clone()), "a struct or a map");
    expect_refusal(manager::<WithId>(store.clone()), "\"id\"");
    #[cfg(feature = "messagepack")]
    expect_refusal(manager::<Values>(store).codec(session_store::Codec::MessagePack), "`Codec::Json`");
}

//! What is stored of a session's data, and what is refused.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use session_store::{Codec, Error, KeyRing, SessionCookie, SessionData, SessionManager, Values};

use crate::world::{Account, Browser, SECRET, World};

/// Another version of the service, whose session has another type.
fn version<T: SessionData>(world: &World, codec: Codec) -> SessionManager<T> {
    SessionManager::builder(Arc::clone(&world.store), KeyRing::parse(SECRET).unwrap())
        .cookie(SessionCookie::new().name("id"))
        .clock(Arc::clone(&world.clock))
        .codec(codec)
        .build()
        .unwrap()
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Newer {
    name: String,
    visits: u32,
    #[serde(default)]
    locale: String,
}

fn codecs_that_evolve() -> Vec<Codec> {
    vec![
        Codec::Json,
        #[cfg(feature = "messagepack")]
        Codec::MessagePack,
    ]
}

/// A rolling deploy: the newer version added a field and knows nothing of others, and the older
/// one must neither lose the new field nor its own.
#[tokio::test]
async fn two_versions_of_a_service_keep_each_others_fields() {
    for codec in codecs_that_evolve() {
        let world = World::with(|builder| builder.codec(codec));
        let newer = version::<Newer>(&world, codec);
        let mut visitor = Browser::default();
        visitor
            .visit(&world.manager, |session| session.write(|a| (a.visits, a.cart) = (1, vec!["tea".into()])))
            .await
            .unwrap();

        let exchange = newer.begin(visitor.cookie.as_deref());
        exchange.session().await.unwrap().write(|n| n.locale = "de".into()).unwrap();
        assert!(exchange.finish(200).await.failure.is_none());
        visitor.visit(&world.manager, |session| session.write(|a| a.visits += 1)).await.unwrap();

        let seen = newer.begin(visitor.cookie.as_deref()).session().await.unwrap().read(Newer::clone);
        assert_eq!(seen, Newer { name: String::new(), visits: 2, locale: "de".into() });
        assert_eq!(visitor.sees(&world.manager).await.cart, ["tea"]);
    }
}

#[cfg(feature = "bincode")]
#[tokio::test]
async fn a_schema_change_with_bincode_ends_as_absent() {
    let world = World::with(|builder| builder.codec(Codec::Bincode));
    let visitor = world.visitor(4).await;
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
    let newer = version::<Newer>(&world, Codec::Bincode);
    let exchange = newer.begin(visitor.cookie.as_deref());
    assert!(exchange.session().await.unwrap().is_new());
    assert!(exchange.finish(200).await.failure.is_none());
    assert_eq!(newer.counts().corrupt, 1);
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
}

#[cfg(feature = "messagepack")]
#[tokio::test]
async fn a_service_may_change_its_codec_without_signing_anybody_out() {
    let world = World::new();
    let visitor = world.visitor(4).await;
    let key = visitor.key(&world.manager).await;
    let compact = world.instance(|builder| builder.codec(Codec::MessagePack));
    visitor.clone().visit(&compact, |session| session.write(|a| a.visits = 5)).await.unwrap();
    assert_eq!(world.store.record(&key).await.unwrap().data.codec, Codec::MessagePack.tag());
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
}

#[tokio::test]
async fn data_over_the_limit_is_refused_and_the_stored_record_untouched() {
    let world = World::with(|builder| builder.max_payload(200));
    let visitor = world.visitor(4).await;
    let key = visitor.key(&world.manager).await;
    let stored = world.store.record(&key).await;

    let exchange = visitor.begin(&world.manager);
    let session = exchange.session().await.unwrap();
    session.write(|a| a.name = "x".repeat(200)).unwrap();
    assert!(matches!(session.save().await, Err(Error::TooLarge { limit: 200, .. })));
    assert!(matches!(exchange.finish(200).await.failure, Some(Error::TooLarge { .. })));
    let exchange = Browser::default().begin(&world.manager);
    let large = exchange.session().await.unwrap().update(|a| a.name = "x".repeat(200)).await;
    assert!(matches!(large, Err(Error::TooLarge { .. })));
    assert!(exchange.finish(200).await.set_cookie.is_none());
    assert_eq!(world.store.record(&key).await, stored);
    assert!(world.store.calls().iter().all(|call| *call == "load"));
}

#[tokio::test]
async fn the_default_limit_is_a_mebibyte() {
    let world = World::new();
    let mut visitor = world.visitor(4).await;
    visitor.visit(&world.manager, |session| session.write(|a| a.name = "x".repeat(1_000_000))).await.unwrap();
    let exchange = visitor.begin(&world.manager);
    exchange.session().await.unwrap().write(|a| a.name = "x".repeat(1 << 20)).unwrap();
    assert!(matches!(exchange.finish(200).await.failure, Some(Error::TooLarge { limit: 1_048_576, .. })));
}

#[tokio::test]
async fn numbers_that_json_would_lose_are_refused() {
    let world = World::new();
    let visitor = world.visitor(4).await;
    let exchange = visitor.begin(&world.manager);
    exchange.session().await.unwrap().write(|a| a.balance = f64::NAN).unwrap();
    let effects = exchange.finish(200).await;
    assert!(matches!(effects.failure, Some(Error::Encode { .. })) && effects.set_cookie.is_none());
    assert!(visitor.sees(&world.manager).await.balance.abs() < f64::EPSILON);
    assert_eq!(world.store.calls(), ["load", "load"]);
}

#[tokio::test]
async fn a_bag_of_values_is_a_session_too() {
    let world = World::new();
    let bag = version::<Values>(&world, Codec::Json);
    let exchange = bag.begin(None);
    let session = exchange.session().await.unwrap();
    session.write(|values| values.insert("visits", 1)).unwrap().unwrap();
    let cookie = exchange.finish(200).await.set_cookie.unwrap();
    let mut visitor = Browser { cookie: cookie.split(';').next().map(str::to_owned) };
    // A typed instance reads what the untyped one wrote, and leaves the rest of it in place.
    visitor.visit(&world.manager, |session| session.write(|a: &mut Account| a.visits += 1)).await.unwrap();
    let session = bag.begin(visitor.cookie.as_deref()).session().await.unwrap();
    assert_eq!(session.read(|values| values.get::<u32>("visits")), Some(2));
}

#[tokio::test]
async fn saving_early_stores_early() {
    let world = World::new();
    let exchange = Browser::default().begin(&world.manager);
    let session = exchange.session().await.unwrap();
    assert!(session.is_new());
    session.write(|a| a.visits = 1).unwrap();
    session.save().await.unwrap();
    assert!(!session.is_new());
    session.save().await.unwrap();
    session.write(|a| a.visits = 2).unwrap();
    let effects = exchange.finish(200).await;
    assert!(effects.set_cookie.is_some());
    assert_eq!(world.store.calls(), ["create", "update"]);
}

//! What is stored of a session's data, and what is refused.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use session_store::{Codec, Conflict, Error, Values};

use crate::world::{Account, Browser, World, codecs, codecs_that_evolve};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Newer {
    name: String,
    visits: u32,
    #[serde(default)]
    locale: String,
}

/// A rolling deploy: the newer version added a field and knows nothing of others, and the older
/// one must neither lose the new field nor its own.
#[tokio::test]
async fn two_versions_of_a_service_keep_each_others_fields() {
    for codec in codecs_that_evolve() {
        let world = World::with(|builder| builder.codec(codec));
        let newer = world.version::<Newer>(codec);
        let mut visitor = Browser::default();
        visitor
            .visit(&world.manager, |session| session.write(|a| (a.visits, a.cart) = (1, vec!["tea".into()])))
            .await
            .unwrap();

        let request = newer.begin(visitor.cookie.as_deref());
        request.session().await.unwrap().write(|n| n.locale = "de".into()).unwrap();
        assert!(request.finish(200).await.failure.is_none());
        visitor.visit(&world.manager, |session| session.write(|a| a.visits += 1)).await.unwrap();

        let seen = newer.begin(visitor.cookie.as_deref()).session().await.unwrap().read(Newer::clone);
        assert_eq!(seen, Newer { name: String::new(), visits: 2, locale: "de".into() });
        assert_eq!(visitor.sees(&world.manager).await.cart, ["tea"]);
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Basket {
    items: Vec<Item>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct NewerBasket {
    items: Vec<NewerItem>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct NewerItem {
    name: String,
    #[serde(default)]
    gift: bool,
}

fn item(name: &str) -> Item {
    Item { name: name.into() }
}

fn gift(name: &str) -> NewerItem {
    NewerItem { name: name.into(), gift: true }
}

#[tokio::test]
async fn an_append_keeps_what_a_newer_version_stored_with_the_other_items() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let (older, newer) = (world.version::<Basket>(codec), world.version::<NewerBasket>(codec));
        let mut visitor = Browser::default();
        visitor.visit(&newer, |session| session.write(|b| b.items.push(gift("tea")))).await.unwrap();
        visitor.visit(&older, |session| session.write(|b| b.items.push(item("milk")))).await.unwrap();
        let session = visitor.begin(&older).session().await.unwrap();
        session.update(|b| b.items.push(item("rye"))).await.unwrap();
        let plain = |name: &str| NewerItem { name: name.into(), gift: false };
        assert_eq!(visitor.sees(&newer).await.items, [gift("tea"), plain("milk"), plain("rye")], "{codec:?}");
    }
}

#[tokio::test]
async fn appends_of_two_versions_at_once_are_both_kept() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let (older, newer) = (world.version::<Basket>(codec), world.version::<NewerBasket>(codec));
        let mut visitor = Browser::default();
        visitor.visit(&newer, |session| session.write(|b| b.items.push(gift("tea")))).await.unwrap();

        let late = visitor.begin(&older);
        late.session().await.unwrap().write(|b| b.items.push(item("rye"))).unwrap();
        visitor.visit(&newer, |session| session.write(|b| b.items.push(gift("milk")))).await.unwrap();
        assert!(late.finish(200).await.failure.is_none());
        let rye = NewerItem { name: "rye".into(), gift: false };
        assert_eq!(visitor.sees(&newer).await.items, [gift("tea"), gift("milk"), rye], "{codec:?}");
    }
}

/// SECURITY 7: nothing of one owner's session reaches the next owner's, known to this version or not.
#[tokio::test]
async fn fields_of_a_newer_version_do_not_change_hands() {
    let world = World::new();
    let newer = world.version::<Newer>(Codec::Json);
    let mut visitor = Browser::default();
    visitor.visit(&newer, |session| session.sign_in("bob", |n| n.locale = "de".into())).await.unwrap();
    visitor.visit(&world.manager, |session| session.sign_in("ada", |a| a.visits = 1)).await.unwrap();
    assert_eq!(visitor.sees(&newer).await, Newer { visits: 1, ..Newer::default() });
}

#[cfg(feature = "bincode")]
#[tokio::test]
async fn a_schema_change_with_bincode_ends_as_absent() {
    let world = World::with(|builder| builder.codec(Codec::Bincode));
    let visitor = world.visitor(4).await;
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
    let newer = world.version::<Newer>(Codec::Bincode);
    let request = newer.begin(visitor.cookie.as_deref());
    assert!(request.session().await.unwrap().is_new());
    assert!(request.finish(200).await.failure.is_none());
    assert_eq!(newer.counts().corrupt, 1);
    assert_eq!(visitor.sees(&world.manager).await.visits, 4);
}

#[cfg(feature = "messagepack")]
#[tokio::test]
async fn a_service_may_change_its_codec_without_signing_anybody_out() {
    let world = World::with(|builder| builder.also_reads([Codec::MessagePack]));
    let visitor = world.visitor(4).await;
    let key = visitor.key(&world.manager).await;
    let compact = world.instance(|builder| builder.codec(Codec::MessagePack).also_reads([Codec::Json]));
    visitor.clone().visit(&compact, |session| session.write(|a| a.visits = 5)).await.unwrap();
    assert_eq!(world.store.record(&key).await.unwrap().data.codec(), Codec::MessagePack.tag());
    assert_eq!(visitor.sees(&world.manager).await.visits, 5);
}

/// SECURITY 27: a record names its codec, so whoever can write to the store would choose the decoder.
#[tokio::test]
async fn a_codec_that_the_service_does_not_use_is_not_read() {
    for ours in codecs() {
        let world = World::with(|builder| builder.codec(ours));
        let visitor = world.visitor(4).await;
        let key = visitor.key(&world.manager).await;
        for theirs in codecs().into_iter().filter(|theirs| *theirs != ours) {
            let strict = world.instance(|builder| builder.codec(theirs));
            let stored = world.store.record(&key).await;
            assert_eq!(visitor.sees(&strict).await, Account::default(), "{ours:?} by {theirs:?}");
            assert_eq!(strict.counts().corrupt, 1);
            assert_eq!(world.store.record(&key).await, stored, "nothing is overwritten");
            let lenient = world.instance(|builder| builder.codec(theirs).also_reads([ours]));
            assert_eq!(visitor.sees(&lenient).await.visits, 4);
        }
    }
}

/// Another request's write can be of a codec that this instance does not read.
#[cfg(feature = "messagepack")]
#[tokio::test]
async fn what_another_codec_wrote_meanwhile_is_not_overwritten() {
    let world = World::new();
    let visitor = world.visitor(4).await;
    let key = visitor.key(&world.manager).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|account| account.visits = 5).unwrap();
    let compact = world.instance(|builder| builder.codec(Codec::MessagePack).also_reads([Codec::Json]));
    visitor.clone().visit(&compact, |session| session.write(|a| a.visits = 6)).await.unwrap();
    let stored = world.store.record(&key).await;
    assert!(matches!(session.save().await, Err(Error::Conflict(_))));
    assert_eq!(world.manager.counts().corrupt, 1);
    assert_eq!(world.store.record(&key).await, stored);
}

#[tokio::test]
async fn data_over_the_limit_is_refused_and_the_stored_record_untouched() {
    let world = World::with(|builder| builder.max_payload(200));
    let visitor = world.visitor(4).await;
    let key = visitor.key(&world.manager).await;
    let stored = world.store.record(&key).await;

    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|a| a.name = "x".repeat(200)).unwrap();
    assert!(matches!(session.save().await, Err(Error::TooLarge { limit: 200, .. })));
    // Nobody is told twice.
    assert!(request.finish(200).await.failure.is_none());
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().write(|a| a.name = "x".repeat(200)).unwrap();
    assert!(matches!(request.finish(200).await.failure, Some(Error::TooLarge { .. })));
    let request = Browser::default().begin(&world.manager);
    let large = request.session().await.unwrap().update(|a| a.name = "x".repeat(200)).await;
    assert!(matches!(large, Err(Error::TooLarge { .. })));
    assert!(request.finish(200).await.set_cookie.is_none());
    assert_eq!(world.store.record(&key).await, stored);
    assert!(world.store.calls().iter().all(|call| *call == "load"));
}

#[tokio::test]
async fn the_default_limit_is_a_mebibyte() {
    let world = World::new();
    let mut visitor = world.visitor(4).await;
    visitor.visit(&world.manager, |session| session.write(|a| a.name = "x".repeat(1_000_000))).await.unwrap();
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().write(|a| a.name = "x".repeat(1 << 20)).unwrap();
    assert!(matches!(request.finish(200).await.failure, Some(Error::TooLarge { limit: 1_048_576, .. })));
}

#[tokio::test]
async fn numbers_that_json_would_lose_are_refused() {
    let world = World::new();
    let visitor = world.visitor(4).await;
    let request = visitor.begin(&world.manager);
    request.session().await.unwrap().write(|a| a.balance = f64::NAN).unwrap();
    let actions = request.finish(200).await;
    assert!(matches!(actions.failure, Some(Error::Encode { .. })) && actions.set_cookie.is_none());
    assert!(visitor.sees(&world.manager).await.balance.abs() < f64::EPSILON);
    assert_eq!(world.store.calls(), ["load", "load"]);
}

#[tokio::test]
async fn what_is_nested_too_deep_to_be_read_again_is_refused() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let trees = world.version::<Value>(codec);
        let request = Browser::default().begin(&trees);
        let session = request.session().await.unwrap();
        session
            .write(|tree| *tree = (0..200).fold(Value::Null, |inner, _| Value::from(vec![inner])))
            .unwrap();
        let refused = session.save().await;
        assert!(matches!(refused, Err(Error::Encode { .. })), "{codec:?}");
        assert!(request.finish(200).await.set_cookie.is_none());
        assert!(world.store.calls().is_empty());
    }
}

#[tokio::test]
async fn a_bag_of_values_is_a_session_too() {
    let world = World::new();
    let bag = world.version::<Values>(Codec::Json);
    let request = bag.begin(None);
    let session = request.session().await.unwrap();
    session.write(|values| values.insert("visits", 1)).unwrap().unwrap();
    let cookie = request.finish(200).await.set_cookie.unwrap();
    let mut visitor = Browser { cookie: cookie.split(';').next().map(str::to_owned) };
    // A typed instance reads what the untyped one wrote, and leaves the rest of it in place.
    visitor.visit(&world.manager, |session| session.write(|a: &mut Account| a.visits += 1)).await.unwrap();
    let session = bag.begin(visitor.cookie.as_deref()).session().await.unwrap();
    assert_eq!(session.read(|values| values.get::<u32>("visits")), Some(2));
}

#[tokio::test]
async fn saving_early_stores_early() {
    let world = World::new();
    let request = Browser::default().begin(&world.manager);
    let session = request.session().await.unwrap();
    assert!(session.is_new());
    session.write(|a| a.visits = 1).unwrap();
    session.save().await.unwrap();
    assert!(!session.is_new());
    session.save().await.unwrap();
    session.write(|a| a.visits = 2).unwrap();
    let actions = request.finish(200).await;
    assert!(actions.set_cookie.is_some());
    assert_eq!(world.store.calls(), ["create", "update"]);
}

#[tokio::test]
async fn a_session_without_data_is_there_once_it_is_started() {
    let world = World::new();
    let mut visitor = Browser::default();
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    let key = session.start().await.unwrap();
    assert_eq!((session.start().await.unwrap(), session.key()), (key.clone(), Some(key.clone())));
    assert_eq!(world.store.calls(), ["create"]);
    visitor.receive(&request.finish(200).await);
    assert_eq!(visitor.key(&world.manager).await, key);

    // One that ended is not started again, nor is one whose cookie could not go out.
    let session = visitor.begin(&world.manager).session().await.unwrap();
    visitor.begin(&world.manager).session().await.unwrap().destroy().await.unwrap();
    session.write(|a| a.visits = 1).unwrap();
    assert!(session.start().await.is_err() && session.start().await.is_err());
    let request = Browser::default().begin(&world.manager);
    let session = request.session().await.unwrap();
    assert!(request.finish(200).await.failure.is_none());
    assert!(matches!(session.start().await, Err(Error::Conflict(Conflict::Committed))));
}

/// Whose empty value is never the same twice, as one with a CSRF token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Form {
    token: u32,
    visits: u32,
}

impl Default for Form {
    fn default() -> Self {
        static DRAWN: AtomicU32 = AtomicU32::new(0);
        Self { token: DRAWN.fetch_add(1, Ordering::Relaxed), visits: 0 }
    }
}

#[tokio::test]
async fn what_the_empty_value_drew_is_stored_as_the_handler_saw_it() {
    let world = World::new();
    let forms = world.version::<Form>(Codec::Json);
    let mut visitor = Browser::default();
    let shown = visitor
        .visit(&forms, |session| {
            session.write(|form| form.visits = 1).unwrap();
            session.read(Form::clone)
        })
        .await;
    assert_eq!(visitor.sees(&forms).await, shown);
}

#[tokio::test]
async fn an_update_stores_what_the_empty_value_drew_as_the_handler_saw_it() {
    let world = World::new();
    let forms = world.version::<Form>(Codec::Json);
    let mut visitor = Browser::default();
    let request = visitor.begin(&forms);
    let session = request.session().await.unwrap();
    let token = session.read(|form| form.token);
    session.update(|form| form.visits = 1).await.unwrap();
    visitor.receive(&request.finish(200).await);
    assert_eq!(visitor.sees(&forms).await, Form { token, visits: 1 });
}

#[tokio::test]
async fn what_a_failed_request_dropped_is_not_stored_by_a_late_save() {
    let world = World::new();
    let visitor = world.visitor(1).await;
    let request = visitor.begin(&world.manager);
    let session = request.session().await.unwrap();
    session.write(|a| a.visits = 9).unwrap();
    assert!(request.finish(500).await.failure.is_none());
    session.save().await.unwrap();
    assert_eq!(visitor.sees(&world.manager).await.visits, 1);
    assert_eq!(world.store.calls(), ["load", "load"]);
}

//! Attacks.
#![cfg(all(feature = "memory", feature = "json"))]
#![allow(dead_code, unused_imports)]

#[path = "engine/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session_store::{Codec, Conflict, Error, SessionData};
use world::{Account, Browser, World, codecs, codecs_that_evolve};

async fn stored<T: SessionData>(world: &World, codec: Codec, form: &Value) -> Browser {
    let mut browser = Browser::default();
    let values = world.version::<Value>(codec);
    browser.visit(&values, |session| session.write(|data| *data = json!(1))).await.unwrap();
    let key = browser.key(&values).await;
    let data = codec.encode(form).unwrap();
    world.store.overwrite(&key, |record| record.data = data).await;
    assert!(browser.begin(&world.version::<T>(codec)).session().await.unwrap().key().is_some(), "{form}");
    browser
}

// --- 1: the order of a list is data.

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredNews", into = "StoredNews")]
struct News {
    name: String,
    visits: u32,
    items: Vec<u32>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredNews {
    /// Oldest first.
    #[serde(rename = "1")]
    First { name: String, #[serde(default)] visits: u32, items: Vec<u32> },
    /// Newest first.
    #[serde(rename = "2")]
    Second { name: String, visits: u32, items: Vec<u32> },
}
impl From<StoredNews> for News {
    fn from(stored: StoredNews) -> Self {
        match stored {
            StoredNews::First { name, visits, items } => {
                Self { name, visits, items: items.into_iter().rev().collect() }
            }
            StoredNews::Second { name, visits, items } => Self { name, visits, items },
        }
    }
}
impl From<News> for StoredNews {
    fn from(News { name, visits, items }: News) -> Self {
        Self::Second { name, visits, items }
    }
}

#[tokio::test]
async fn a_list_in_another_order_is_other_data() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let manager = world.version::<News>(codec);
        let form = json!({"version": "1", "name": "ada", "visits": 0, "items": [1, 2, 3]});
        let mut browser = stored::<News>(&world, codec, &form).await;
        let written = browser.visit(&manager, |session| {
            session.write(|data| data.name = "bob".into()).unwrap();
            session.read(News::clone)
        }).await;
        assert_eq!(browser.sees(&manager).await, written, "{codec:?}");
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredFlagged", into = "StoredFlagged")]
struct Flagged {
    name: String,
    items: Vec<u32>,
}
#[derive(Clone, Serialize, Deserialize)]
struct StoredFlagged {
    name: String,
    items: Vec<u32>,
    #[serde(default, skip_serializing)]
    oldest_first: bool,
}
impl From<StoredFlagged> for Flagged {
    fn from(StoredFlagged { name, mut items, oldest_first }: StoredFlagged) -> Self {
        if oldest_first {
            items.reverse();
        }
        Self { name, items }
    }
}
impl From<Flagged> for StoredFlagged {
    fn from(Flagged { name, items }: Flagged) -> Self {
        Self { name, items, oldest_first: false }
    }
}

#[tokio::test]
async fn a_flag_that_orders_a_list() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let manager = world.version::<Flagged>(codec);
        let form = json!({"name": "ada", "items": [1, 2, 3], "oldest_first": true});
        let mut browser = stored::<Flagged>(&world, codec, &form).await;
        let written = browser.visit(&manager, |session| {
            session.write(|data| data.items.push(4)).unwrap();
            session.read(Flagged::clone)
        }).await;
        assert_eq!(browser.sees(&manager).await, written, "{codec:?}");
    }
}

// --- 1: numbers are kinds of data too.

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Amount {
    Cents(i64),
    Euros(f64),
}
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredPurse", into = "StoredPurse")]
struct Purse {
    name: String,
    amount: Amount,
}
impl Default for Purse {
    fn default() -> Self {
        Self { name: String::new(), amount: Amount::Cents(0) }
    }
}
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredPurse {
    #[serde(rename = "1")]
    First { name: String, amount: f64 },
    #[serde(rename = "2")]
    Second { name: String, amount: Amount },
}
impl From<StoredPurse> for Purse {
    fn from(stored: StoredPurse) -> Self {
        match stored {
            StoredPurse::First { name, amount } => Self { name, amount: Amount::Euros(amount) },
            StoredPurse::Second { name, amount } => Self { name, amount },
        }
    }
}
impl From<Purse> for StoredPurse {
    fn from(Purse { name, amount }: Purse) -> Self {
        Self::Second { name, amount }
    }
}

#[tokio::test]
async fn a_whole_float_is_not_an_integer() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let manager = world.version::<Purse>(codec);
        let form = json!({"version": "1", "name": "ada", "amount": 5});
        let mut browser = stored::<Purse>(&world, codec, &form).await;
        let written = browser.visit(&manager, |session| {
            session.write(|data| data.name = "bob".into()).unwrap();
            session.read(Purse::clone)
        }).await;
        assert_eq!(browser.sees(&manager).await, written, "{codec:?}");
    }
}

// --- 1: a member that is made of another where it is not stored.

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredShown")]
struct Shown {
    name: String,
    visits: u32,
    shown_as: String,
}
#[derive(Deserialize)]
struct StoredShown {
    name: String,
    visits: u32,
    shown_as: Option<String>,
}
impl From<StoredShown> for Shown {
    fn from(StoredShown { name, visits, shown_as }: StoredShown) -> Self {
        Self { shown_as: shown_as.unwrap_or_else(|| name.clone()), name, visits }
    }
}

#[tokio::test]
async fn what_is_made_of_another_member_is_merged_as_it_was_seen() {
    for codec in codecs_that_evolve() {
        for renames_first in [true, false] {
            let world = World::new();
            let manager = world.version::<Shown>(codec);
            let browser = stored::<Shown>(&world, codec, &json!({"name": "ada", "visits": 1, "x": 1})).await;
            let (one, two) = (browser.begin(&manager), browser.begin(&manager));
            let (rename, count) = if renames_first { (&one, &two) } else { (&two, &one) };
            rename.session().await.unwrap().write(|data| data.name = "bob".into()).unwrap();
            count.session().await.unwrap().write(|data| data.visits += 1).unwrap();
            assert!(one.clone().finish(200).await.failure.is_none());
            assert!(two.clone().finish(200).await.failure.is_none());
            let expected = Shown { name: "bob".into(), visits: 2, shown_as: "ada".into() };
            assert_eq!(browser.sees(&manager).await, expected, "{codec:?} {renames_first}");
        }
    }
}

// --- 2: a key of the visitor's that is the name of the tag.

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Bag {
    #[default]
    Empty,
    Full(BTreeMap<String, String>),
}

fn full(key: &str) -> Bag {
    Bag::Full(BTreeMap::from([(key.to_owned(), "x".to_owned())]))
}

#[tokio::test]
async fn a_key_that_is_the_name_of_the_tag_is_refused() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let manager = world.version::<Bag>(codec);
        let mut browser = Browser::default();
        browser.visit(&manager, |session| session.write(|data| *data = full("colour"))).await.unwrap();
        let session = browser.begin(&manager).session().await.unwrap();
        session.write(|data| *data = full("kind")).unwrap();
        let saved = session.save().await;
        assert!(matches!(saved, Err(Error::Encode { .. })), "{codec:?} {saved:?}");
        assert_eq!(browser.sees(&manager).await, full("colour"));
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum State {
    #[default]
    Known,
    #[serde(skip_deserializing)]
    Legacy,
    A { n: u32 },
    #[serde(rename(serialize = "b1", deserialize = "b2"))]
    B { n: u32 },
}

#[tokio::test]
async fn variants_told_apart_by_a_tag_are_shapes() {
    for codec in codecs_that_evolve() {
        for (good, bad) in [(State::Known, State::Legacy), (State::A { n: 1 }, State::B { n: 1 })] {
            let world = World::new();
            let manager = world.version::<Vec<State>>(codec);
            let mut browser = Browser::default();
            browser.visit(&manager, |session| session.write(|data| *data = vec![good.clone()])).await.unwrap();
            let session = browser.begin(&manager).session().await.unwrap();
            session.write(|data| *data = vec![bad.clone()]).unwrap();
            let saved = session.save().await;
            assert!(matches!(saved, Err(Error::Encode { .. })), "{codec:?} {saved:?}");
        }
    }
}

// --- Security 7: data of an owner whose session is gone.

#[tokio::test]
async fn a_sign_in_after_the_session_moved_takes_over_nothing_of_its_owner() {
    let mut leaks = false;
    for push in [false, true] {
        for how in ["other owner", "renewed twice", "ended", "ended, saved"] {
            let world = World::new();
            let mut visitor = Browser::default();
            visitor.visit(&world.manager, |s| s.sign_in("ada", |a| a.cart.push("secret".into()))).await.unwrap();
            let late = visitor.begin(&world.manager);
            let session = late.session().await.unwrap();
            let mut other = visitor.clone();
            match how {
                "other owner" => other.visit(&world.manager, |s| s.sign_in("carol", |_| ())).await.unwrap(),
                "renewed twice" => {
                    other.visit(&world.manager, |s| s.renew()).await.unwrap();
                    other.visit(&world.manager, |s| s.renew()).await.unwrap();
                }
                _ => other.begin(&world.manager).session().await.unwrap().destroy().await.unwrap(),
            }
            if how == "ended, saved" {
                session.write(|a| a.visits += 1).unwrap();
                assert!(session.save().await.is_err());
            } else {
                assert!(session.update(|a| a.visits += 1).await.is_err());
            }
            let seen = session.sign_in("bob", |a| {
                if push { a.cart.push("tea".into()) }
                a.cart.clone()
            }).unwrap();
            let effects = late.finish(200).await;
            let mut bob = Browser::default();
            bob.receive(&effects);
            if effects.failure.is_some() { continue; }
            let account = bob.sees(&world.manager).await;
            let secret = "secret".to_owned();
            println!("{how} {push}: stored {} seen {}", account.cart.contains(&secret), seen.contains(&secret));
            leaks |= account.cart.contains(&secret) || seen.contains(&secret);
        }
    }
    assert!(!leaks);
}

// --- 1: a sign-in over a session that ended meanwhile.

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Person {
    #[default]
    Guest,
    User { name: String, visits: u32 },
}

#[tokio::test]
async fn a_sign_in_of_the_same_owner_beside_a_logout_keeps_its_write() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let manager = world.version::<Person>(codec);
        let mut visitor = Browser::default();
        visitor.visit(&manager, |s| s.sign_in("ada", |p| *p = Person::User { name: "ada".into(), visits: 1 })).await.unwrap();
        let late = visitor.begin(&manager);
        let session = late.session().await.unwrap();
        session.sign_in("ada", |p| match p { Person::User { visits, .. } => *visits = 7, _ => panic!() }).unwrap();
        visitor.begin(&manager).session().await.unwrap().destroy().await.unwrap();
        let effects = late.finish(200).await;
        let mut ada = Browser::default();
        ada.receive(&effects);
        if effects.failure.is_none() {
            let seen = ada.sees(&manager).await;
            assert!(matches!(seen, Person::User { visits: 7, .. }), "{codec:?}: {seen:?}");
        }
    }
}

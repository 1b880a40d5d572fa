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
    First {
        name: String,
        #[serde(default)]
        visits: u32,
        items: Vec<u32>,
    },
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
        let written = browser
            .visit(&manager, |session| {
                session.write(|data| data.name = "bob".into()).unwrap();
                session.read(News::clone)
            })
            .await;
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
        let written = browser
            .visit(&manager, |session| {
                session.write(|data| data.items.push(4)).unwrap();
                session.read(Flagged::clone)
            })
            .await;
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
        let written = browser
            .visit(&manager, |session| {
                session.write(|data| data.name = "bob".into()).unwrap();
                session.read(Purse::clone)
            })
            .await;
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
    A {
        n: u32,
    },
    #[serde(rename(serialize = "b1", deserialize = "b2"))]
    B {
        n: u32,
    },
}

#[tokio::test]
async fn variants_told_apart_by_a_tag_are_shapes() {
    for codec in codecs_that_evolve() {
        for (good, bad) in [(State::Known, State::Legacy), (State::A { n: 1 }, State::B { n: 1 })] {
            let world = World::new();
            let manager = world.version::<Vec<State>>(codec);
            let mut browser = Browser::default();
            browser
                .visit(&manager, |session| session.write(|data| *data = vec![good.clone()]))
                .await
                .unwrap();
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
            visitor
                .visit(&world.manager, |s| s.sign_in("ada", |a| a.cart.push("secret".into())))
                .await
                .unwrap();
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
            let seen = session
                .sign_in("bob", |a| {
                    if push {
                        a.cart.push("tea".into())
                    }
                    a.cart.clone()
                })
                .unwrap();
            let effects = late.finish(200).await;
            let mut bob = Browser::default();
            bob.receive(&effects);
            if effects.failure.is_some() {
                continue;
            }
            let account = bob.sees(&world.manager).await;
            let secret = "secret".to_owned();
            println!(
                "{how} {push}: stored {} seen {}",
                account.cart.contains(&secret),
                seen.contains(&secret)
            );
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
    User {
        name: String,
        visits: u32,
    },
}

#[tokio::test]
async fn a_sign_in_of_the_same_owner_beside_a_logout_keeps_its_write() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        let manager = world.version::<Person>(codec);
        let mut visitor = Browser::default();
        visitor
            .visit(&manager, |s| s.sign_in("ada", |p| *p = Person::User { name: "ada".into(), visits: 1 }))
            .await
            .unwrap();
        let late = visitor.begin(&manager);
        let session = late.session().await.unwrap();
        session
            .sign_in("ada", |p| match p {
                Person::User { visits, .. } => *visits = 7,
                _ => panic!(),
            })
            .unwrap();
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

// --- 1, 3: every type with every other value, alone, merged and followed.

mod oracle {
    use super::*;
    use session_store::{Payload, Session};
    use std::fmt::Debug;
    use std::net::IpAddr;
    use std::time::Duration;

    /// Adds unknown members to objects, down to a level.
    fn extended(value: &Value, levels: usize) -> Value {
        match value {
            Value::Object(members) if levels > 0 => {
                let mut members: serde_json::Map<_, _> =
                    members.iter().map(|(name, value)| (name.clone(), extended(value, levels - 1))).collect();
                members.insert("aaa".into(), json!({"n": [1, 2.5]}));
                members.insert("zzz".into(), json!(null));
                members.into()
            }
            Value::Array(elements) if levels > 0 => {
                elements.iter().map(|it| extended(it, levels - 1)).collect::<Vec<_>>().into()
            }
            _ => value.clone(),
        }
    }

    fn three_way(b: &Value, o: &Value, t: &Value) -> Option<Value> {
        let (Value::Object(b), Value::Object(o), Value::Object(t)) = (b, o, t) else {
            return field(Some(b), Some(o), Some(t))?;
        };
        let names: BTreeSet<_> = b.keys().chain(o.keys()).chain(t.keys()).collect();
        let mut all = serde_json::Map::new();
        for name in names {
            if let Some(value) = field(b.get(name), o.get(name), t.get(name))? {
                all.insert(name.clone(), value);
            }
        }
        Some(all.into())
    }
    fn field(b: Option<&Value>, o: Option<&Value>, t: Option<&Value>) -> Option<Option<Value>> {
        if o == b || o == t {
            return Some(t.cloned());
        }
        if t == b {
            return Some(o.cloned());
        }
        match (o, t) {
            (None, _) | (_, None) => Some(None),
            (Some(Value::Array(o)), Some(Value::Array(t))) => {
                let none = vec![];
                let b = match b {
                    Some(Value::Array(b)) => b,
                    None => &none,
                    _ => return None,
                };
                (o.starts_with(b) && t.starts_with(b)).then(|| Some([&t[..], &o[b.len()..]].concat().into()))
            }
            (Some(o), Some(t)) if !o.is_array() && !o.is_object() && !t.is_array() && !t.is_object() => {
                Some(Some(o.clone()))
            }
            _ => None,
        }
    }

    async fn browser_on<T: SessionData + Clone + PartialEq + Debug>(
        world: &World,
        codec: Codec,
        data: &Payload,
    ) -> Browser {
        let manager = world.version::<T>(codec);
        let mut browser = Browser::default();
        let exchange = browser.begin(&manager);
        exchange.session().await.unwrap().start().await.unwrap();
        browser.receive(&exchange.finish(200).await);
        let key = browser.key(&manager).await;
        world.store.overwrite(&key, |record| record.data = data.clone()).await;
        browser
    }

    pub(super) async fn attack<T: SessionData + Clone + PartialEq + Debug>(values: &[T], forms: &[Value]) {
        let name = std::any::type_name::<T>().rsplit("::").next().unwrap().to_owned();
        let mut needless = 0;
        let mut faults = BTreeSet::new();
        for codec in codecs() {
            let mut stored: Vec<(Payload, String)> = vec![];
            for value in values {
                match codec.encode(value) {
                    Ok(payload) => stored.push((payload, format!("{value:?}"))),
                    Err(error) => {
                        faults.insert(format!("{codec:?} {value:?}: {error}"));
                    }
                }
                let Ok(own) = codec.encode(value) else { continue };
                if let Some(json) = own.to_json() {
                    for levels in [1, 5] {
                        let form = extended(&json, levels);
                        stored.push((codec.encode(&form).unwrap(), format!("{form}")));
                    }
                }
            }
            if codec.tag() != 3 {
                stored.extend(forms.iter().map(|form| (codec.encode(form).unwrap(), format!("{form}"))));
            }
            for (payload, told) in &stored {
                let Ok(base) = payload.decode::<T>() else { continue };
                if codec.tag() == 3 && codec.encode(&T::default()).unwrap().decode::<T>().is_err() {
                    continue;
                }
                let unknown = payload.to_json().is_some_and(|json| json.get("zzz").is_some());
                let world = World::new();
                let manager = world.version::<T>(codec);
                let values_manager = world.version::<Value>(codec);
                for v2 in values {
                    for way in ["write", "update", "sign_in", "save"] {
                        let mut browser = browser_on::<T>(&world, codec, payload).await;
                        let exchange = browser.begin(&manager);
                        let session = exchange.session().await.unwrap();
                        let error = match way {
                            "write" => session.write(|it| *it = v2.clone()).err(),
                            "update" => session.update(|it| *it = v2.clone()).await.err(),
                            "save" => {
                                session.write(|it| *it = v2.clone()).unwrap();
                                session.save().await.err()
                            }
                            _ => session.sign_in("bob", |it| *it = v2.clone()).err(),
                        };
                        let effects = exchange.finish(200).await;
                        browser.receive(&effects);
                        if let Some(error) = error.or(effects.failure) {
                            faults.insert(format!("{codec:?} {way} {told} -> {v2:?}: {error}"));
                            continue;
                        }
                        let read = browser.sees(&manager).await;
                        if read != *v2 {
                            faults.insert(format!("{codec:?} {way} {told} -> {v2:?}: read {read:?}"));
                        }
                        if unknown && payload.to_json().unwrap().is_object() {
                            let now = browser.sees(&values_manager).await;
                            if now.get("zzz").is_none() {
                                faults
                                    .insert(format!("{codec:?} {way} {told} -> {v2:?}: unknown lost: {now}"));
                            }
                        }
                    }
                    for v3 in values {
                        for follows in [false, true] {
                            let mut browser = browser_on::<T>(&world, codec, payload).await;
                            let late = browser.begin(&manager);
                            let session = late.session().await.unwrap();
                            session.write(|it| *it = v3.clone()).unwrap();
                            browser
                                .visit(&manager, |s| {
                                    if follows {
                                        s.renew().unwrap();
                                    }
                                    s.write(|it| *it = v2.clone())
                                })
                                .await
                                .unwrap();
                            let failure = late.finish(200).await.failure;
                            let read = browser.sees(&manager).await;
                            let json = |it: &T| serde_json::to_value(it).unwrap();
                            let (ours, theirs) = if follows { (v2, v3) } else { (v3, v2) };
                            let merged = three_way(&json(&*base), &json(ours), &json(theirs));
                            let expected = merged.and_then(|it| serde_json::from_value::<T>(it).ok());
                            let told =
                                format!("{codec:?} follows {follows}: {told} theirs {v2:?} ours {v3:?}");
                            match (failure, expected) {
                                (Some(_), Some(_)) if read == *v2 => {
                                    needless += 1;
                                    if needless % 60 == 1 && name != "Internal" {
                                        println!("  needless: {}", told.chars().take(900).collect::<String>())
                                    }
                                }
                                (Some(_), None) if read == *v2 => {}
                                (None, Some(expected)) if read == expected => {}
                                (None, None)
                                    if v2 == v3
                                        || *base == *v2 && read == *v3
                                        || *base == *v3 && read == *v2 => {}
                                (None, _) if v2 == v3 && codec.tag() == 3 => {}
                                (failure, expected) => {
                                    faults.insert(format!(
                                        "{failure:?}, read {read:?}, expected {expected:?} {told}"
                                    ));
                                }
                            }
                        }
                    }
                }
            }
        }
        println!("{name}: {} faults, {needless} needless conflicts", faults.len());
        for fault in faults.iter().take(6) {
            println!("  {}", fault.chars().take(900).collect::<String>());
        }
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Pair(u32, Option<String>);

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Clear {
        list: Vec<u32>,
    }

    #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    enum Role {
        #[default]
        #[serde(alias = "anon")]
        Guest,
        #[serde(rename = "m")]
        Member(u32),
        Staff {
            since: u32,
            #[serde(default)]
            teams: Vec<String>,
        },
        Both(u32, u32),
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        #[default]
        None,
        One(u32),
        Two {
            a: u32,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            b: Option<u32>,
        },
        Three(u32, String),
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Internal {
        #[default]
        Nobody,
        SomeBody {
            name: String,
            #[serde(default)]
            roles: Vec<Role>,
        },
        Wrapped(Pages),
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Pages {
        pages: BTreeSet<u32>,
        last: Option<String>,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Loose {
        #[default]
        Nothing,
        Number(i64),
        Float(f64),
        Text(String),
        List(Vec<Loose>),
        Named {
            name: String,
        },
        Map(BTreeMap<String, Loose>),
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Wide {
        #[serde(alias = "user")]
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nick: Option<String>,
        #[serde(default)]
        role: Role,
        #[serde(default)]
        pair: Pair,
        #[serde(default)]
        address: Option<IpAddr>,
        #[serde(default)]
        wait: Duration,
        #[serde(default)]
        small: f32,
        #[serde(default)]
        letter: char,
        #[serde(default)]
        unit: (),
        #[serde(default)]
        key: [u8; 4],
        #[serde(default)]
        loose: Loose,
    }

    /// The same, but nothing that bincode can't do.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Maps {
        numbers: BTreeMap<u32, Option<Role>>,
        roles: HashMap<Letter, Vec<(u32, f64)>>,
        set: HashSet<Role>,
        nested: Vec<HashSet<u32>>,
        flags: BTreeMap<bool, char>,
        big: (u64, i64, u128),
    }
    #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    enum Letter {
        #[default]
        A,
        B,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct FlatAll {
        name: String,
        #[serde(flatten)]
        pages: Pages,
        #[serde(flatten)]
        state: Internal,
        #[serde(flatten)]
        more: HashMap<String, Value>,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Twice {
        #[serde(default, deserialize_with = "double", skip_serializing_if = "Option::is_none")]
        a: Option<Option<u32>>,
        b: Option<u32>,
    }
    fn double<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<u32>>, D::Error> {
        Option::<u32>::deserialize(d).map(Some)
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(try_from = "StoredChecked", into = "StoredChecked")]
    struct Checked {
        list: Vec<u32>,
        flag: bool,
        n: u32,
    }
    #[derive(Clone, Serialize, Deserialize)]
    #[serde(untagged)]
    enum StoredChecked {
        New {
            list: Vec<u32>,
            flag: bool,
            n: u32,
        },
        Compact(Vec<u32>, u32),
        Texts {
            list: String,
            #[serde(default)]
            n: u32,
        },
    }
    impl TryFrom<StoredChecked> for Checked {
        type Error = String;
        fn try_from(stored: StoredChecked) -> Result<Self, String> {
            Ok(match stored {
                StoredChecked::New { list, flag, n } => Self { list, flag, n },
                StoredChecked::Compact(list, n) => Self { list, flag: false, n },
                StoredChecked::Texts { list, n } => Self {
                    list: list
                        .split(',')
                        .map(|it| it.parse().map_err(|_| "bad".to_owned()))
                        .collect::<Result<_, _>>()?,
                    flag: true,
                    n,
                },
            })
        }
    }
    impl From<Checked> for StoredChecked {
        fn from(Checked { list, flag, n }: Checked) -> Self {
            Self::New { list, flag, n }
        }
    }

    #[tokio::test]
    async fn all() {
        let text = |it: &str| it.to_owned();
        attack(&[Pair(1, None), Pair(2, Some(text("a"))), Pair(1, Some(text("b")))], &[]).await;
        attack(
            &[
                Clear { list: vec![] },
                Clear { list: vec![1] },
                Clear { list: vec![1, 2] },
                Clear { list: vec![2, 1] },
            ],
            &[],
        )
        .await;
        let roles = || {
            vec![
                Role::Guest,
                Role::Member(1),
                Role::Member(2),
                Role::Both(1, 2),
                Role::Both(2, 2),
                Role::Staff { since: 1, teams: vec![] },
                Role::Staff { since: 2, teams: vec![text("x")] },
            ]
        };
        attack(&roles(), &[json!("anon"), json!({"anon": null})]).await;
        attack(
            &[
                Adjacent::None,
                Adjacent::One(1),
                Adjacent::Two { a: 1, b: None },
                Adjacent::Two { a: 2, b: Some(1) },
                Adjacent::Three(1, text("a")),
            ],
            &[],
        )
        .await;
        let some = |name: &str, roles: Vec<Role>| Internal::SomeBody { name: text(name), roles };
        let pages = |pages: &[u32], last: Option<&str>| Pages {
            pages: pages.iter().copied().collect(),
            last: last.map(text),
        };
        let internals = || {
            vec![
                Internal::Nobody,
                some("ada", vec![]),
                some("ada", roles()),
                some("bob", vec![Role::Guest]),
                Internal::Wrapped(pages(&[1, 2], None)),
                Internal::Wrapped(pages(&[1, 2, 3], Some("x"))),
            ]
        };
        attack(&internals()[2..4], &[json!({"kind": "some_body", "name": "ada"})]).await;
        let _loose = || {
            vec![
                Loose::Nothing,
                Loose::Number(5),
                Loose::Float(5.0),
                Loose::Float(0.1),
                Loose::Text(text("5")),
                Loose::List(vec![Loose::Number(1), Loose::Float(1.0)]),
                Loose::Named { name: text("a") },
                Loose::Map(BTreeMap::from([(text("a"), Loose::Nothing)])),
            ]
        };

        let wide = |name: &str| Wide { name: text(name), ..Wide::default() };
        attack(
            &[
                wide("ada"),
                wide("bob"),
                Wide { nick: Some(text("x")), small: 0.1, letter: 'é', ..wide("ada") },
                Wide {
                    role: Role::Both(1, 2),
                    pair: Pair(7, Some(text("x"))),
                    loose: Loose::Float(5.0),
                    ..wide("ada")
                },
                Wide {
                    address: Some("::1".parse().unwrap()),
                    wait: Duration::from_millis(1500),
                    key: [1, 2, 3, 255],
                    loose: Loose::Number(5),
                    ..wide("ada")
                },
            ],
            &[
                json!({"user": "ada", "x": 1}),
                json!({"user": "ada", "nick": null, "pair": [1, null], "x": 1}),
                json!({"name": "ada", "small": 1, "x": [1]}),
                json!({"name": "ada", "role": "anon", "loose": 5.0, "x": [1]}),
                json!({"name": "ada", "role": {"anon": null}, "x": [1]}),
            ],
        )
        .await;
        let maps = Maps::default;
        attack(
            &[
                maps(),
                Maps { numbers: BTreeMap::from([(1, None), (2, Some(Role::Guest))]), ..maps() },
                Maps {
                    numbers: BTreeMap::from([(1, Some(Role::Member(2)))]),
                    set: roles().into_iter().collect(),
                    ..maps()
                },
                Maps {
                    set: roles().into_iter().take(2).collect(),
                    roles: HashMap::from([(Letter::A, vec![(1, 1.0)]), (Letter::B, vec![])]),
                    ..maps()
                },
                Maps {
                    nested: vec![(0..5).collect(), (0..7).collect()],
                    flags: BTreeMap::from([(true, 'x')]),
                    ..maps()
                },
                Maps {
                    nested: vec![(0..7).collect(), (0..5).collect()],
                    big: (u64::MAX, i64::MIN, 7),
                    ..maps()
                },
            ],
            &[],
        )
        .await;
        attack(
            &[Twice::default(), Twice { a: Some(Some(1)), b: None }, Twice { a: None, b: Some(2) }],
            &[json!({"a": null, "b": 1, "x": 2})],
        )
        .await;
        let checked = |list: &[u32], flag, n| Checked { list: list.to_vec(), flag, n };
        attack(
            &[
                checked(&[], false, 0),
                checked(&[1, 2], false, 1),
                checked(&[1, 2], true, 0),
                checked(&[2, 1], true, 3),
            ],
            &[
                json!([[1, 2], 5]),
                json!({"list": "1,2", "n": 3}),
                json!({"list": "1,2", "flag": 3, "x": 1}),
                json!({"list": [1, 2], "flag": true, "n": 0, "x": 1}),
            ],
        )
        .await;
        attack(
            &[
                json!(null),
                json!(5),
                json!(5.0),
                json!({"a": 1}),
                json!({"a": 1.0, "b": [1]}),
                json!({"a": [1, 2]}),
                json!([1]),
            ],
            &[],
        )
        .await;
        attack(&[None, Some(vec![None, Some((1u8, 'x'))]), Some(vec![])], &[]).await;
    }
}

// --- Security 7: whatever two requests do, nobody's session holds what was another's.

#[tokio::test]
async fn nothing_changes_hands() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    let owners = ["ada", "bob"];
    for round in 0..1500 {
        let world = World::new();
        let mut browser = Browser::default();
        let mut log = vec![];
        if draw(4) > 0 {
            let o = owners[draw(2) as usize];
            log.push(format!("start {o}"));
            browser.visit(&world.manager, |s| s.sign_in(o, |a| a.cart.push(o.into()))).await.unwrap();
        } else {
            browser.visit(&world.manager, |s| s.write(|a| a.cart.push("anon".into()))).await.unwrap();
        }
        let mut jar = vec![browser.clone()];
        let mut running = vec![browser.begin(&world.manager), browser.begin(&world.manager)];
        for exchange in &running {
            exchange.session().await.unwrap();
        }
        for _ in 0..draw(10) + 3 {
            let which = draw(running.len() as u64) as usize;
            let session = running[which].session().await.unwrap();
            let o = owners[draw(2) as usize];
            let mark = session.owner().map_or("anon".to_owned(), |it| it.as_str().to_owned());
            let op = draw(10);
            let outcome = match op {
                0 => session.sign_in(o, |a| a.cart.push(o.into())).err(),
                1 => session.set_owner(o).err(),
                2 => session.renew().err(),
                3 => session.destroy().await.err(),
                4 => session.save().await.err(),
                5 => session.update(|a| a.cart.push(mark.clone())).await.err(),
                6 => session.reload().await.err(),
                7 => session.write(|a| a.cart.push(mark.clone())).err(),
                8 => session.start().await.err(),
                _ => {
                    let status = [200, 200, 200, 500, 408][draw(5) as usize];
                    let exchange =
                        std::mem::replace(&mut running[which], jar.last().unwrap().begin(&world.manager));
                    let effects = exchange.finish(status).await;
                    let mut next = jar.last().unwrap().clone();
                    next.receive(&effects);
                    if next.cookie.is_some() {
                        jar.push(next);
                    }
                    running[which] = jar.last().unwrap().begin(&world.manager);
                    effects.failure
                }
            };
            log.push(format!("{which}: {op} {o} as {mark} -> {:?}", outcome.map(|it| it.to_string())));
            let session = running[which].session().await.unwrap();
            if let Some(owner) = session.owner() {
                let cart = session.read(|a| a.cart.clone());
                assert!(
                    cart.iter().all(|it| it == "anon" || it == owner.as_str()),
                    "seen {round}: {owner:?} {cart:?}\n{log:#?}"
                );
            }
        }
        for exchange in running {
            let effects = exchange.finish(200).await;
            let mut next = jar.last().unwrap().clone();
            next.receive(&effects);
            jar.push(next);
        }
        for browser in jar.iter().filter(|it| it.cookie.is_some()) {
            let session = browser.begin(&world.manager).session().await.unwrap();
            let cart = session.read(|a| a.cart.clone());
            if let Some(owner) = session.owner() {
                assert!(
                    cart.iter().all(|it| it == "anon" || it == owner.as_str()),
                    "{round}: {owner:?} {cart:?}\n{log:#?}"
                );
            } else {
                assert!(cart.iter().all(|it| it == "anon"), "{round}: nobody: {cart:?}\n{log:#?}");
            }
        }
    }
}

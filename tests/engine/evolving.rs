//! Types that change shape while sessions are live, and data that could not be read back.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use session_store::{Codec, Error, SessionData};

use crate::world::{Browser, World, codecs, codecs_that_evolve};

/// A session's type that reads older forms of itself.
trait Evolved: SessionData + Clone + PartialEq + std::fmt::Debug {
    fn rename(&mut self, name: &str);
    fn count(&mut self);
    fn counted(&self) -> (&str, u32);
}

macro_rules! evolved {
    ($($type:ty: $($name:ident).+;)*) => {$(
        impl Evolved for $type {
            fn rename(&mut self, name: &str) {
                self.$($name).+ = name.to_owned();
            }
            fn count(&mut self) {
                self.visits += 1;
            }
            fn counted(&self) -> (&str, u32) {
                (&self.$($name).+, self.visits)
            }
        }
    )*};
}

evolved! {
    Tagged: name;
    Untagged: user.first;
    OldestFirst: user.first;
    Aliased: name;
    Flat: name;
    Reader: name;
}

/// Versions told apart by a tag.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredTagged", into = "StoredTagged")]
struct Tagged {
    name: String,
    visits: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "version")]
enum StoredTagged {
    #[serde(rename = "1")]
    First { name: String },
    #[serde(rename = "2")]
    Second { name: String, visits: u32 },
}

impl From<StoredTagged> for Tagged {
    fn from(stored: StoredTagged) -> Self {
        match stored {
            StoredTagged::First { name } => Self { name, visits: 0 },
            StoredTagged::Second { name, visits } => Self { name, visits },
        }
    }
}

impl From<Tagged> for StoredTagged {
    fn from(Tagged { name, visits }: Tagged) -> Self {
        Self::Second { name, visits }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct User {
    first: String,
}

/// Versions told apart by their fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredUntagged", into = "StoredUntagged")]
struct Untagged {
    user: User,
    visits: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredUntagged {
    New {
        user: User,
        visits: u32,
    },
    Old {
        #[serde(default)]
        name: String,
    },
}

impl From<StoredUntagged> for Untagged {
    fn from(stored: StoredUntagged) -> Self {
        match stored {
            StoredUntagged::New { user, visits } => Self { user, visits },
            StoredUntagged::Old { name } => Self { user: User { first: name }, visits: 0 },
        }
    }
}

impl From<Untagged> for StoredUntagged {
    fn from(Untagged { user, visits }: Untagged) -> Self {
        Self::New { user, visits }
    }
}

/// The same, but whatever has a name is taken for old.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredOldestFirst", into = "StoredOldestFirst")]
struct OldestFirst {
    user: User,
    visits: u32,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredOldestFirst {
    Old { name: String },
    New { user: User, visits: u32 },
}

impl From<StoredOldestFirst> for OldestFirst {
    fn from(stored: StoredOldestFirst) -> Self {
        match stored {
            StoredOldestFirst::Old { name } => Self { user: User { first: name }, visits: 0 },
            StoredOldestFirst::New { user, visits } => Self { user, visits },
        }
    }
}

impl From<OldestFirst> for StoredOldestFirst {
    fn from(OldestFirst { user, visits }: OldestFirst) -> Self {
        Self::New { user, visits }
    }
}

/// A field that was renamed, and one whose type was widened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Aliased {
    #[serde(alias = "user_name", alias = "login")]
    name: String,
    #[serde(default, deserialize_with = "number_or_text")]
    visits: u32,
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().map_err(serde::de::Error::custom),
        number => u32::deserialize(number).map_err(serde::de::Error::custom),
    }
}

/// One that keeps what it doesn't know by itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Flat {
    #[serde(default)]
    name: String,
    #[serde(default)]
    visits: u32,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// One with a set, which has another order each time it is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Reader {
    name: String,
    visits: u32,
    pages: HashSet<u32>,
}

/// A session in which another version stored this, and a browser that has its cookie.
async fn browser_with(world: &World, codec: Codec, form: &Value) -> Browser {
    let mut browser = Browser::default();
    let values = world.version::<Value>(codec);
    browser.visit(&values, |session| session.write(|data| *data = json!(1))).await.unwrap();
    let key = browser.key(&values).await;
    let data = codec.encode(form).unwrap();
    world.store.overwrite(&key, |record| record.data = data).await;
    browser
}

/// The same, if it can be read.
async fn stored<T: Evolved>(world: &World, codec: Codec, form: &Value) -> Option<Browser> {
    let browser = browser_with(world, codec, form).await;
    let is_readable = browser.begin(&world.version::<T>(codec)).session().await.unwrap().key().is_some();
    is_readable.then_some(browser)
}

/// What is acknowledged is read back, alone and beside another request's change.
async fn keeps_writes<T: Evolved>(codec: Codec, form: &Value) {
    let world = World::new();
    let manager = world.version::<T>(codec);
    let told = format!("{codec:?} {} {form}", std::any::type_name::<T>());

    let Some(mut browser) = stored::<T>(&world, codec, form).await else { return };
    let written = browser.visit(&manager, |session| {
        session.write(|data| data.rename("bob")).unwrap();
        session.read(T::clone)
    });
    assert_eq!(written.await, browser.sees(&manager).await, "a write: {told}");
    let written = browser.visit(&manager, |session| {
        session.write(T::count).unwrap();
        session.read(T::clone)
    });
    assert_eq!(written.await, browser.sees(&manager).await, "a second write: {told}");

    let browser = stored::<T>(&world, codec, form).await.unwrap();
    let session = browser.begin(&manager).session().await.unwrap();
    session.update(|data| data.rename("bob")).await.unwrap();
    assert_eq!(session.read(T::clone), browser.sees(&manager).await, "an update: {told}");

    let mut browser = stored::<T>(&world, codec, form).await.unwrap();
    let written = browser.visit(&manager, |session| {
        session.sign_in("bob", |data| data.rename("bob")).unwrap();
        session.read(T::clone)
    });
    assert_eq!(written.await, browser.sees(&manager).await, "a sign-in: {told}");

    let mut browser = stored::<T>(&world, codec, form).await.unwrap();
    browser.visit(&manager, |session| session.write(|data| *data = T::default()).unwrap()).await;
    let cleared = browser.sees(&manager).await;
    assert_eq!(cleared.counted(), T::default().counted(), "cleared: {told}");

    for renames_first in [true, false] {
        let browser = stored::<T>(&world, codec, form).await.unwrap();
        let visits = browser.sees(&manager).await.counted().1;
        let (one, two) = (browser.begin(&manager), browser.begin(&manager));
        let (rename, count) = if renames_first { (&one, &two) } else { (&two, &one) };
        rename.session().await.unwrap().write(|data| data.rename("bob")).unwrap();
        count.session().await.unwrap().write(T::count).unwrap();
        assert!(one.clone().finish(200).await.failure.is_none(), "{told}");
        let second = two.clone().finish(200).await.failure;
        // bincode takes a set for changed whenever it is read.
        assert!(second.is_none(), "both, renamed first: {renames_first}: {second:?}: {told}");
        let merged = browser.sees(&manager).await;
        assert_eq!(merged.counted(), ("bob", visits + 1), "merged, renamed first: {renames_first}: {told}");
    }
}

async fn all_keep_writes(codec: Codec, form: &Value) {
    keeps_writes::<Tagged>(codec, form).await;
    keeps_writes::<Untagged>(codec, form).await;
    keeps_writes::<OldestFirst>(codec, form).await;
    keeps_writes::<Aliased>(codec, form).await;
    keeps_writes::<Flat>(codec, form).await;
    keeps_writes::<Reader>(codec, form).await;
}

/// SECURITY 31.
#[tokio::test]
async fn a_write_over_an_older_form_is_read_back() {
    let forms = [
        json!({"version": "1", "name": "ada"}),
        json!({"version": "2", "name": "ada", "visits": 4}),
        json!({"version": "2", "name": "ada", "visits": 4, "added": [1]}),
        json!({"name": "ada"}),
        json!({"name": "ada", "user": {"first": "eve"}, "visits": 1}),
        json!({"user": {"first": "ada"}, "visits": 3}),
        json!({"user": {"first": "ada", "last": "lovelace"}, "visits": 3, "added": true}),
        json!({"user_name": "ada"}),
        json!({"login": "ada", "visits": "17", "added": null}),
        json!({"name": "ada", "pages": [3, 1, 2], "added": {}}),
        json!({}),
    ];
    for codec in codecs_that_evolve() {
        for form in &forms {
            all_keep_writes(codec, form).await;
        }
    }
}

/// An object of some of these members.
fn any_form() -> impl Strategy<Value = Value> {
    let members = [
        ("version", json!("1")),
        ("version", json!("2")),
        ("name", json!("ada")),
        ("name", json!("")),
        ("user_name", json!("ada")),
        ("login", json!("bob")),
        ("visits", json!(0)),
        ("visits", json!(7)),
        ("visits", json!("7")),
        ("user", json!({"first": "ada"})),
        ("user", json!({"first": "", "last": "x"})),
        ("pages", json!([])),
        ("pages", json!([3, 1, 2])),
        ("added", json!(null)),
        ("added", json!([1, {"deep": 1.5}])),
    ];
    proptest::sample::subsequence(members.to_vec(), 0..8).prop_map(|members| {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>().into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is stored, as long as the type reads it.
    #[test]
    fn what_is_written_over_any_form_is_read_back(form in any_form()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for codec in codecs_that_evolve() {
            runtime.block_on(all_keep_writes(codec, &form));
        }
    }
}

/// Unknown members survive a renamed neighbour's sake only where they can: here the stored object is what
/// the type wrote and more.
#[tokio::test]
async fn members_of_others_survive_beside_defaults_and_numbers_of_another_form() {
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Account {
        name: String,
        height: f64,
        #[serde(default = "light")]
        theme: String,
    }
    fn light() -> String {
        "light".to_owned()
    }
    for codec in codecs_that_evolve() {
        let world = World::new();
        let accounts = world.version::<Account>(codec);
        let form = json!({"name": "ada", "height": 2, "passport": {"user": 1}});
        let mut browser = Browser::default();
        let values = world.version::<Value>(codec);
        browser.visit(&values, |session| session.write(|data| *data = form.clone())).await.unwrap();
        browser.visit(&accounts, |session| session.write(|data| data.name = "bob".into())).await.unwrap();
        let expected = json!({"name": "bob", "height": 2, "passport": {"user": 1}});
        assert_eq!(browser.sees(&values).await, expected, "{codec:?}");
    }
}

/// Where a form is left behind, nothing of it stays: it could be taken for somebody's data later.
#[tokio::test]
async fn an_older_form_is_replaced_whole() {
    for codec in codecs_that_evolve() {
        let world = World::new();
        for (form, expected) in [
            (json!({"name": "ada"}), json!({"user": {"first": "bob"}, "visits": 0})),
            (json!({"version": "1", "name": "ada"}), json!({"user": {"first": "bob"}, "visits": 0})),
        ] {
            let mut browser = stored::<Untagged>(&world, codec, &form).await.unwrap();
            let manager = world.version::<Untagged>(codec);
            browser.visit(&manager, |session| session.write(|data| data.rename("bob"))).await.unwrap();
            assert_eq!(browser.sees(&world.version::<Value>(codec)).await, expected, "{codec:?}, {form}");
        }
        let mut browser = stored::<Aliased>(&world, codec, &json!({"user_name": "ada"})).await.unwrap();
        let manager = world.version::<Aliased>(codec);
        browser.visit(&manager, |session| session.write(|data| data.rename("bob"))).await.unwrap();
        let expected = json!({"name": "bob", "visits": 0});
        assert_eq!(browser.sees(&world.version::<Value>(codec)).await, expected, "{codec:?}");
    }
}

/// What differs in nothing but the order of a list, the kind of a number, or a member that is made of another.
mod exact {
    use super::*;

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

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(from = "StoredShown")]
    struct Shown {
        name: String,
        visits: u32,
        display: String,
    }
    #[derive(Deserialize)]
    struct StoredShown {
        name: String,
        visits: u32,
        display: Option<String>,
    }
    impl From<StoredShown> for Shown {
        fn from(StoredShown { name, visits, display }: StoredShown) -> Self {
            Self { display: display.unwrap_or_else(|| name.clone()), name, visits }
        }
    }

    async fn is_exact<T: SessionData + Clone + PartialEq + std::fmt::Debug>(
        form: Value,
        change: impl Fn(&mut T),
    ) {
        for codec in codecs_that_evolve() {
            let world = World::new();
            let manager = world.version::<T>(codec);
            let mut browser = browser_with(&world, codec, &form).await;
            let written = browser.visit(&manager, |session| {
                session.write(&change).unwrap();
                session.read(T::clone)
            });
            assert_eq!(written.await, browser.sees(&manager).await, "{codec:?}: {form}");
        }
    }

    /// SECURITY 31.
    #[tokio::test]
    async fn lists_keep_their_order_and_numbers_their_kind() {
        let first = json!({"version": "1", "name": "ada", "visits": 0, "items": [1, 2, 3]});
        is_exact::<News>(first, |news| news.name = "bob".into()).await;
        let flagged = json!({"name": "ada", "items": [1, 2, 3], "oldest_first": true});
        is_exact::<Flagged>(flagged, |news| news.items.push(4)).await;
        let euros = json!({"version": "1", "name": "ada", "amount": 5});
        is_exact::<Purse>(euros, |purse| purse.name = "bob".into()).await;
    }

    #[tokio::test]
    async fn a_member_that_is_made_of_another_is_merged_as_it_was_seen() {
        for codec in codecs_that_evolve() {
            let world = World::new();
            let manager = world.version::<Shown>(codec);
            let browser = browser_with(&world, codec, &json!({"name": "ada", "visits": 1, "added": 1})).await;
            let (rename, count) = (browser.begin(&manager), browser.begin(&manager));
            rename.session().await.unwrap().write(|shown| shown.name = "bob".into()).unwrap();
            count.session().await.unwrap().write(|shown| shown.visits += 1).unwrap();
            for request in [count, rename] {
                assert!(request.finish(200).await.failure.is_none());
            }
            let expected = Shown { name: "bob".into(), visits: 2, display: "ada".into() };
            assert_eq!(browser.sees(&manager).await, expected, "{codec:?}");
        }
    }

    /// Sets of anything but scalars, too.
    #[tokio::test]
    async fn members_of_others_survive_beside_a_set() {
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        struct Sets {
            name: String,
            amounts: HashSet<BTreeMap<String, u32>>,
        }
        let amounts: Vec<_> = (0..9).map(|number| json!({format!("{number}"): number})).collect();
        for codec in codecs_that_evolve() {
            let world = World::new();
            let form = json!({"name": "ada", "amounts": amounts, "added": 1});
            let mut browser = browser_with(&world, codec, &form).await;
            let manager = world.version::<Sets>(codec);
            browser.visit(&manager, |session| session.write(|sets| sets.name = "bob".into())).await.unwrap();
            let seen = browser.sees(&world.version::<Value>(codec)).await;
            assert_eq!((&seen["name"], &seen["added"]), (&json!("bob"), &json!(1)), "{codec:?}");
        }
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Person {
        #[default]
        Guest,
        User {
            visits: u32,
        },
    }

    /// It can't be made to an empty session: that is no user.
    #[tokio::test]
    async fn a_change_that_an_ended_session_took_along_is_refused() {
        let world = World::new();
        let manager = world.version::<Person>(Codec::Json);
        let mut visitor = Browser::default();
        let user = |person: &mut Person| *person = Person::User { visits: 1 };
        visitor.visit(&manager, |session| session.sign_in("ada", user)).await.unwrap();
        let late = visitor.begin(&manager);
        let session = late.session().await.unwrap();
        session.sign_in("ada", |person| *person = Person::User { visits: 7 }).unwrap();
        visitor.begin(&manager).session().await.unwrap().destroy().await.unwrap();
        assert_eq!(late.finish(200).await.failure.map(|error| error.status()), Some(409));
    }
}

/// Data that its own type can't read, or reads as something else.
mod unreadable {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct Inner {
        by_number: BTreeMap<u32, u32>,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct Flattened {
        #[serde(flatten)]
        inner: Inner,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    pub(super) enum Tagged {
        #[default]
        Nobody,
        Somebody {
            by_number: BTreeMap<u32, u32>,
        },
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct Big {
        big: Option<u128>,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct FlattenedBig {
        #[serde(flatten)]
        inner: Big,
    }

    /// A name that a neighbour has already.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct Twice {
        name: String,
        #[serde(flatten)]
        more: BTreeMap<String, String>,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct WriteOnly {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        list: Vec<u32>,
        count: u32,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) enum Kind {
        #[default]
        Known,
        #[serde(skip_deserializing)]
        Legacy,
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct Unit;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    pub(super) struct Wrapped(Option<u32>);

    async fn is_refused<T: SessionData + Clone + PartialEq + std::fmt::Debug>(
        codec: Codec,
        good: &T,
        bad: &T,
    ) {
        let world = World::new();
        let manager = world.version::<T>(codec);
        let told = format!("{codec:?}: {bad:?}");
        let is_encode = |error: Error| matches!(error, Error::Encode { .. });

        // A new session, and one that has been stored.
        let request = manager.begin(None);
        let session = request.session().await.unwrap();
        let written = session.write(|data| *data = bad.clone());
        assert!(written.is_err() || is_encode(session.save().await.unwrap_err()), "{told}");
        assert!(world.store.calls().is_empty(), "{told}");

        let mut browser = Browser::default();
        browser.visit(&manager, |session| session.sign_in("ada", |data| *data = good.clone())).await.unwrap();
        let session = browser.begin(&manager).session().await.unwrap();
        assert!(is_encode(session.update(|data| *data = bad.clone()).await.unwrap_err()), "{told}");
        let request = browser.begin(&manager);
        if request.session().await.unwrap().write(|data| *data = bad.clone()).is_ok() {
            assert!(is_encode(request.finish(200).await.failure.unwrap()), "{told}");
        }
        let request = browser.begin(&manager);
        if request.session().await.unwrap().sign_in("ada", |data| *data = bad.clone()).is_ok() {
            let actions = request.finish(200).await;
            assert!(is_encode(actions.failure.unwrap()) && actions.set_cookie.is_none(), "{told}");
        }
        assert_eq!(browser.sees(&manager).await, *good, "{told}");
    }

    #[tokio::test]
    async fn data_that_could_not_be_read_back_is_refused_before_anything_is_written() {
        let numbers = || BTreeMap::from([(1, 2)]);
        let named = |name: &str| Twice {
            name: "ada".into(),
            more: BTreeMap::from([(name.to_owned(), "x".to_owned())]),
        };
        let list = |list: &[u32]| WriteOnly { list: list.to_vec(), count: 1 };
        for codec in codecs_that_evolve() {
            // MessagePack's keys may be numbers.
            if codec == Codec::Json {
                is_refused(
                    codec,
                    &Flattened::default(),
                    &Flattened { inner: Inner { by_number: numbers() } },
                )
                .await;
                is_refused(codec, &Tagged::Nobody, &Tagged::Somebody { by_number: numbers() }).await;
            }
            let big = FlattenedBig { inner: Big { big: Some(1) } };
            is_refused(codec, &FlattenedBig::default(), &big).await;
            is_refused(codec, &named("other"), &named("name")).await;
            is_refused(codec, &list(&[1]), &list(&[])).await;
            is_refused(codec, &vec![Kind::Known], &vec![Kind::Known, Kind::Legacy]).await;
        }
        for codec in codecs() {
            is_refused(codec, &vec![None], &vec![Some(())]).await;
            is_refused(codec, &vec![None, Some(Some(1))], &vec![Some(None)]).await;
            is_refused(codec, &vec![None], &vec![Some(Unit)]).await;
            is_refused(codec, &vec![Some(Wrapped(Some(1)))], &vec![Some(Wrapped(None))]).await;
        }
        is_refused(Codec::Json, &vec![Some(json!(1))], &vec![Some(Value::Null)]).await;
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Named {
        #[default]
        Known,
        #[serde(skip_deserializing)]
        Legacy,
        Counted {
            count: u32,
        },
        #[serde(skip_deserializing)]
        LegacyCounted {
            count: u32,
        },
        Map(BTreeMap<String, String>),
    }

    /// A shape that was seen to be readable says nothing of another variant that looks alike, nor of a map
    /// one of whose keys is the tag's.
    #[tokio::test]
    async fn variants_that_a_tag_tells_apart_are_not_taken_for_each_other() {
        let map = |key: &str| Named::Map(BTreeMap::from([(key.to_owned(), "x".to_owned())]));
        for codec in codecs_that_evolve() {
            for (good, bad) in [
                (Named::Known, Named::Legacy),
                (Named::Counted { count: 1 }, Named::LegacyCounted { count: 1 }),
                (map("other"), map("kind")),
            ] {
                is_refused(codec, &vec![good], &vec![bad]).await;
            }
        }
    }

    /// What looks alike and can be read is stored.
    #[tokio::test]
    async fn data_that_can_be_read_back_is_not_refused() {
        async fn is_stored<T>(data: T)
        where
            T: SessionData + DeserializeOwned + Clone + PartialEq + std::fmt::Debug,
        {
            for codec in codecs_that_evolve() {
                let world = World::new();
                let manager = world.version::<T>(codec);
                let mut browser = Browser::default();
                browser.visit(&manager, |session| session.write(|it| *it = data.clone())).await.unwrap();
                assert_eq!(browser.sees(&manager).await, data, "{codec:?}");
            }
        }
        is_stored(BTreeMap::from([(1_u32, Some(2_u128))])).await;
        is_stored(vec![(), ()]).await;
        is_stored(vec![None, Some(vec![None, Some(1)])]).await;
        is_stored(Some(Ok::<(), ()>(())).map(|it| vec![it.is_ok()]).unwrap_or_default()).await;
        is_stored(Twice { name: "ada".into(), more: BTreeMap::from([("b".into(), "c".into())]) }).await;
        is_stored(json!({"a": [null, {"b": null}]})).await;
    }
}

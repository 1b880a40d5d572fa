//! What whoever has the store can read.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use session_store::{
    Error, ExpressLayout, Extensions, Key, KeyRing, Owner, RedisLayout, RedisStore, Sealing, SessionCookie,
    SessionManager,
};

use crate::stage::{
    Account, Browser, NEWER_SEAL, Store, in_memory, in_redis, instance, instance_with, sealing, sealing_with,
    stored, tamper,
};
use crate::support::log::Log;
use crate::support::redis::Server;

const DATA: &str = "a-diagnosis-in-the-data";
const LABEL: &str = "a-laptop-in-the-label";
/// An entry of a record that no version gives a meaning.
const ENTRY: &[u8] = &[0x7F, 0, 1, b'x'];

/// Which of the markers are in the file that the server saves.
async fn dumped(sealing: Option<Sealing>) -> [bool; 2] {
    let server = Server::start_with(&["--rdbcompression", "no"]).await;
    let manager = instance(&in_redis(&server).await, sealing);
    for _ in 0..3 {
        let mut browser = Browser::with(&manager, Account::of(DATA)).await;
        browser.visit(&manager, |session| session.set_label(LABEL)).await.unwrap();
        browser.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
        browser.visit(&manager, |session| session.write(|account| account.visits += 1)).await.unwrap();
        assert_eq!(browser.sees(&manager).await.unwrap().name, DATA);
    }
    let saved: String = server.ask("SAVE").await.unwrap();
    assert_eq!(saved, "OK");
    let asked = async |name| server.ask::<(String, String)>(&format!("CONFIG GET {name}")).await.unwrap().1;
    let file = std::path::Path::new(&asked("dir").await).join(asked("dbfilename").await);
    let dump = std::fs::read(file).unwrap();
    [DATA, LABEL].map(|text| dump.windows(text.len()).any(|bytes| bytes == text.as_bytes()))
}

/// SECURITY 25.
#[tokio::test]
async fn a_dump_shows_nothing_of_what_is_sealed() {
    assert_eq!(dumped(None).await, [true, true]);
    assert_eq!(dumped(Some(sealing())).await, [false, true]);
    assert_eq!(dumped(Some(sealing().labels())).await, [false, false]);
    assert_eq!(dumped(Some(sealing().and_id().labels())).await, [false, false]);
}

/// Whoever has the store and every key of the service can make a cookie for no session that is there. With the id of
/// another session, what is stored does not open.
#[tokio::test]
async fn a_dump_and_the_keys_open_nothing_without_the_visitors_id() {
    for by_id in [false, true] {
        let sealing = || if by_id { sealing().and_id() } else { sealing() };
        let store = in_memory();
        let manager = instance(&store, sealing());
        let ada = Browser::with(&manager, Account::of("Ada")).await;
        let thief = Browser::with(&manager, Account::of("a thief")).await;
        let dump = stored(&store, &ada.key(&manager).await).await;
        assert!(dump.data.is_sealed());

        let own = thief.key(&manager).await;
        tamper(&store, &own, |record| record.data = dump.data.clone()).await;
        assert_eq!(thief.sees(&manager).await, None);
        assert_eq!(manager.counts().unopened, 1);
        assert_eq!(ada.sees(&manager).await.unwrap().name, "Ada");

        // The service's keys alone, as `session-store tidy` has them, open what does not take the id.
        let late = ada.begin(&manager);
        late.session().await.unwrap();
        let mut moved = ada.clone();
        moved.visit(&manager, session_store::Session::renew).await.unwrap();
        late.session().await.unwrap().write(|account| account.visits = 1).unwrap();
        assert_eq!(late.finish(200).await.failure.is_some(), by_id);
    }
}

#[tokio::test]
async fn another_key_opens_nothing_and_the_log_says_so_once() {
    let log = Log::begin();
    let store = in_memory();
    let manager = instance(&store, sealing().labels());
    let mut ada = Browser::with(&manager, Account::of("Ada")).await;
    ada.visit(&manager, |session| session.set_label("a laptop")).await.unwrap();
    let key = ada.key(&manager).await;
    let before = stored(&store, &key).await;

    for without in [None, Some(sealing_with(NEWER_SEAL)), Some(sealing_with(NEWER_SEAL).and_id())] {
        let is_told = log.text().matches("this is said once").count();
        let manager = instance(&store, without);
        for _ in 0..3 {
            assert_eq!(ada.sees(&manager).await, None);
        }
        let counts = manager.counts();
        assert_eq!((counts.unopened, counts.corrupt, counts.loaded), (3, 0, 0));
        assert_eq!(log.text().matches("this is said once").count(), is_told + 1);
    }
    assert!(!log.text().contains("Ada") && !log.text().contains("a laptop"));

    assert_eq!(stored(&store, &key).await, before, "it stays as it is");
    assert_eq!(ada.sees(&manager).await.unwrap().name, "Ada");
}

/// A visitor whose session does not open may begin another one, beside it.
#[tokio::test]
async fn what_does_not_open_is_never_overwritten() {
    let store = in_memory();
    let manager = instance(&store, sealing());
    let ada = Browser::with(&manager, Account::of("Ada")).await;
    let key = ada.key(&manager).await;
    let before = stored(&store, &key).await;

    let other = instance(&store, sealing_with(NEWER_SEAL));
    let mut again = ada.clone();
    again.visit(&other, |session| session.write(|account| account.name = "Bob".into())).await.unwrap();
    assert_ne!(again.key(&other).await, key);
    assert_eq!(again.sees(&other).await.unwrap().name, "Bob");
    assert_eq!(stored(&store, &key).await, before);
    assert_eq!(ada.sees(&manager).await.unwrap().name, "Ada");
}

async fn labels_are_shown_to_their_owner_alone(store: Store) {
    for sealing in [sealing(), sealing().and_id()] {
        let manager = instance(&store, sealing.labels());
        let mut ada = Browser::with(&manager, Account::default()).await;
        ada.visit(&manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
        ada.visit(&manager, |session| session.set_label(LABEL)).await.unwrap();
        let key = ada.key(&manager).await;

        let of_ada = manager.sessions_of("ada").await.unwrap();
        let labels: Vec<_> = of_ada.iter().map(|session| session.label.as_ref().unwrap().as_str()).collect();
        assert_eq!(labels, [LABEL]);
        assert!(of_ada[0].sealed && !of_ada[0].compressed);
        assert_eq!(manager.page_of("ada", None).await.unwrap().sessions, of_ada);
        assert_eq!(ada.session(&manager).await.label().unwrap().as_str(), LABEL);

        let all: Vec<_> = manager.sessions().try_collect().await.unwrap();
        assert!(all.iter().all(|session| session.label.is_none() && session.sealed && session.codec == 1));
        let record = stored(&store, &key).await;
        assert_eq!(record.label, None);
        assert!(!record.to_bytes().windows(LABEL.len()).any(|bytes| bytes == LABEL.as_bytes()));

        // Nobody else's keys show it, and it follows its session to another id.
        let stranger = instance(&store, sealing_with(NEWER_SEAL));
        assert_eq!(stranger.sessions_of("ada").await.unwrap()[0].label, None);
        ada.visit(&manager, session_store::Session::renew).await.unwrap();
        assert_eq!(ada.session(&manager).await.label().unwrap().as_str(), LABEL);
        assert_eq!(manager.sessions_of("ada").await.unwrap()[0].label.as_ref().unwrap().as_str(), LABEL);
        assert_eq!(manager.revoke_all("ada").await.unwrap(), 1);
    }
}

#[tokio::test]
async fn labels_are_sealed_in_memory() {
    labels_are_shown_to_their_owner_alone(in_memory()).await;
}

#[tokio::test]
async fn labels_are_sealed_in_redis() {
    let server = Server::start().await;
    labels_are_shown_to_their_owner_alone(in_redis(&server).await).await;
}

/// A label belongs to its session.
#[tokio::test]
async fn a_sealed_label_of_another_session_is_refused() {
    let store = in_memory();
    let manager = instance(&store, sealing().labels());
    let mut browsers = [Account::of("Ada"), Account::of("Bob")].map(|account| (account, Browser::default()));
    for (account, browser) in &mut browsers {
        *browser = Browser::with(&manager, account.clone()).await;
        browser.visit(&manager, |session| session.set_label(&account.name)).await.unwrap();
    }
    let [(_, ada), (_, bob)] = &browsers;
    let of_bob = stored(&store, &bob.key(&manager).await).await;
    tamper(&store, &ada.key(&manager).await, |record| record.extensions = of_bob.extensions.clone()).await;
    assert_eq!(ada.sees(&manager).await, None);
    assert_eq!(bob.session(&manager).await.label().unwrap().as_str(), "Bob");
    assert_eq!(manager.counts().unopened, 1);
}

/// As in a rolling deploy of a version that keeps something there.
#[tokio::test]
async fn what_a_newer_version_keeps_beside_a_sealed_label_stays() {
    let store = in_memory();
    let manager = instance(&store, sealing().labels());
    let mut ada = Browser::with(&manager, Account::of("Ada")).await;
    ada.visit(&manager, |session| session.set_label(LABEL)).await.unwrap();
    let key = ada.key(&manager).await;
    tamper(&store, &key, |record| {
        let both = [record.extensions.as_bytes(), ENTRY].concat();
        record.extensions = Extensions::from_bytes(&key, &both).unwrap();
    })
    .await;
    for _ in 0..2 {
        ada.visit(&manager, |session| session.write(|account| account.visits += 1)).await.unwrap();
        ada.visit(&manager, session_store::Session::renew).await.unwrap();
        let record = stored(&store, &ada.key(&manager).await).await;
        assert!(record.extensions.as_bytes().windows(ENTRY.len()).any(|bytes| bytes == ENTRY));
        assert_eq!(ada.session(&manager).await.label().unwrap().as_str(), LABEL);
    }
    assert_eq!(ada.sees(&manager).await.unwrap().visits, 2);
}

#[tokio::test]
async fn a_hashed_owner_is_listed_and_ended_and_nobody_reads_who_it_is() {
    let server = Server::start_with(&["--rdbcompression", "no"]).await;
    let store = in_redis(&server).await;
    let manager = instance_with(&store, sealing(), |builder| {
        builder.max_sessions_per_owner(2, session_store::Evict::Oldest)
    });
    let key = Key::new(SEAL_OF_OWNERS).unwrap();
    let ada = Owner::hashed(&key, "ada@example.com").unwrap();
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let mut browser = Browser::default();
        browser.visit(&manager, |session| session.sign_in(ada.as_str(), |_| ())).await.unwrap();
        browsers.push(browser);
    }
    assert_eq!(manager.sessions_of(&ada).await.unwrap().len(), 2);
    assert_eq!(browsers[2].session(&manager).await.owner(), Some(ada.clone()));

    let mut client = server.client().await;
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut client).await.unwrap();
    assert!(!names.is_empty() && !names.iter().any(|name| name.contains("ada")), "{names:?}");
    let again = Owner::hashed(&key, "ada@example.com").unwrap();
    assert_eq!(manager.revoke_all(again).await.unwrap(), 2);
    assert_eq!(browsers[2].sees(&manager).await, None);
}

const SEAL_OF_OWNERS: &str = "Qe7rT2yU9iO4pA1sD6fG8hJ3kL5zX0cVbNmWqErT";

/// Node could not read it.
#[tokio::test]
async fn sessions_that_express_reads_are_neither_sealed_nor_compressed() {
    let server = Server::start().await;
    let cookie = || SessionCookie::new().name("connect.sid").secure(false);
    for layout in [
        RedisLayout::express(ExpressLayout::new(cookie())),
        RedisLayout::move_to_native(ExpressLayout::new(cookie())),
    ] {
        let store = Arc::new(RedisStore::builder(server.url()).layout(layout).connect().await.unwrap());
        let builder = || {
            let keys = KeyRing::express("keyboard cat").unwrap();
            SessionManager::<serde_json::Map<String, serde_json::Value>>::builder(Arc::clone(&store), keys)
        };
        for refused in [builder().seal(sealing()), builder().compress(1024)] {
            let error = refused.build().unwrap_err();
            assert!(matches!(&error, Error::Config(why) if why.contains("sealed")), "{error}");
        }
        builder().build().unwrap();
    }
}

#[test]
fn secrets_of_express_seal_nothing() {
    let error = Sealing::new(&KeyRing::express("keyboard cat").unwrap()).unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
}

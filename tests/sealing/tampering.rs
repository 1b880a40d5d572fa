//! What becomes of sessions that somebody changed in the store.

use session_store::{Codec, KeyRing, Owner, Payload, SealRollout, Sealing};

use crate::stage::{
    Account, Browser, Manager, Store, in_memory, in_redis, instance, instance_with, sealing, stored, tamper,
};
use crate::support::log::Log;
use crate::support::redis::Server;

type Settings = fn() -> Sealing;

const FORMS: [Settings; 3] = [sealing, || sealing().and_id(), || sealing().labels()];

fn long() -> Account {
    Account { cart: vec!["tea".to_owned(); 40], ..Account::of("Ada") }
}

/// An instance that seals in this way, and compresses.
fn packing(store: &Store, form: Settings) -> Manager {
    instance_with(store, form(), |builder| builder.compress(64))
}

/// Each number, and what was counted besides.
fn refused(manager: &Manager) -> u64 {
    let counts = manager.counts();
    counts.unopened + counts.corrupt
}

async fn swapped_data_opens_for_nobody(store: Store) {
    for form in FORMS {
        let manager = packing(&store, form);
        for [ours, theirs] in [[Account::of("Ada"), Account::of("Bob")], [long(), long()]] {
            let (ada, bob) = (Browser::with(&manager, ours).await, Browser::with(&manager, theirs).await);
            let keys = [ada.key(&manager).await, bob.key(&manager).await];
            let data = [stored(&store, &keys[0]).await.data, stored(&store, &keys[1]).await.data];
            let before = manager.counts().unopened;
            for (key, data) in [(&keys[0], &data[1]), (&keys[1], &data[0])] {
                tamper(&store, key, |record| record.data = data.clone()).await;
            }
            assert_eq!((ada.sees(&manager).await, bob.sees(&manager).await), (None, None));
            assert_eq!(manager.counts().unopened, before + 2);
            for (key, data) in keys.iter().zip(data) {
                tamper(&store, key, |record| record.data = data).await;
            }
            assert!(ada.sees(&manager).await.is_some() && bob.sees(&manager).await.is_some());
        }
    }
}

/// SECURITY 25.
#[tokio::test]
async fn data_that_was_moved_to_another_session_is_refused() {
    swapped_data_opens_for_nobody(in_memory()).await;
    let server = Server::start().await;
    swapped_data_opens_for_nobody(in_redis(&server).await).await;
}

/// The codec that wrote it, and whether it is sealed and compressed, are no choice of whoever can write to the store.
#[tokio::test]
async fn data_under_another_tag_is_refused() {
    let store = in_memory();
    for form in FORMS {
        let manager = instance_with(&store, form(), |builder| {
            let builder = builder.compress(64);
            #[cfg(feature = "messagepack")]
            let builder = builder.also_reads([Codec::MessagePack]);
            builder
        });
        for account in [Account::of("Ada"), long()] {
            let browser = Browser::with(&manager, account.clone()).await;
            let key = browser.key(&manager).await;
            let data = stored(&store, &key).await.data;
            assert_eq!((data.is_sealed(), data.is_compressed()), (true, account.cart.len() > 1));
            for tag in (0..=u8::MAX).filter(|tag| *tag != data.codec()) {
                let before = refused(&manager);
                let bytes = data.bytes().clone();
                tamper(&store, &key, |record| record.data = Payload::new(tag, bytes)).await;
                assert_eq!(browser.sees(&manager).await, None, "tag {tag:#x}");
                assert_eq!(refused(&manager), before + 1, "tag {tag:#x}");
            }
            tamper(&store, &key, |record| record.data = data).await;
            assert_eq!(browser.sees(&manager).await, Some(account));
        }
    }
}

/// SECURITY 25 and 27.
#[tokio::test]
async fn data_with_a_bit_changed_is_refused_whichever_it_is() {
    let log = Log::begin();
    let store = in_memory();
    let mut managers = 0;
    for form in FORMS {
        let manager = packing(&store, form);
        managers += 1;
        for account in [Account::of("Ada"), long()] {
            let browser = Browser::with(&manager, account.clone()).await;
            let key = browser.key(&manager).await;
            let data = stored(&store, &key).await.data;
            for bit in 0..data.bytes().len() * 8 {
                let mut bytes = data.bytes().to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let before = manager.counts().unopened;
                tamper(&store, &key, |record| record.data = Payload::new(data.codec(), bytes)).await;
                assert_eq!(browser.sees(&manager).await, None, "bit {bit}");
                assert_eq!(manager.counts().unopened, before + 1, "bit {bit}");
            }
            for length in 0..data.bytes().len() {
                let bytes = data.bytes().slice(..length);
                tamper(&store, &key, |record| record.data = Payload::new(data.codec(), bytes)).await;
                assert_eq!(browser.sees(&manager).await, None, "{length} bytes");
            }
            tamper(&store, &key, |record| record.data = data).await;
            assert_eq!(browser.sees(&manager).await, Some(account));
        }
    }
    let text = log.text();
    assert_eq!(text.matches("this is said once").count(), managers);
    assert!(!text.contains("Ada"));
}

/// Of all that is stored: the head is not sealed, so a session may end early, or be of another format. What it holds is
/// what its visitor put there, or nothing.
#[tokio::test]
async fn no_bit_that_is_changed_in_redis_shows_other_data() {
    let server = Server::start().await;
    let store = in_redis(&server).await;
    let manager = packing(&store, || sealing().labels());
    let mut browser = Browser::with(&manager, long()).await;
    browser.visit(&manager, |session| session.set_label("a laptop")).await.unwrap();
    let key = browser.key(&manager).await;
    let record = stored(&store, &key).await;
    let (name, whole) = (format!("session:{}", key.storage_name()), record.to_bytes());
    let head = whole.len() - record.data.bytes().len();
    assert_eq!(whole[head..], record.data.bytes()[..]);

    let mut client = server.client().await;
    let mut shown = 0;
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let () =
            redis::cmd("SET").arg(&name).arg(bytes).arg("KEEPTTL").query_async(&mut client).await.unwrap();
        match browser.begin(&manager).session().await {
            Ok(session) if session.is_new() => {}
            Ok(session) => {
                assert!(bit / 8 < head - 1, "bit {bit} is one of the data");
                assert_eq!(session.read(Account::clone), long(), "bit {bit}");
                shown += 1;
            }
            Err(error) => {
                assert!(bit / 8 < head, "bit {bit}: {error}");
                assert_eq!(error.status(), 503, "bit {bit}: {error}");
            }
        }
    }
    // The revisions and the times, at least.
    assert!(shown > 100, "{shown}");
    let () = redis::cmd("SET").arg(&name).arg(whole).arg("KEEPTTL").query_async(&mut client).await.unwrap();
    assert_eq!(browser.sees(&manager).await, Some(long()));
}

/// Whoever can write to the store has none of the keys.
#[tokio::test]
async fn what_nobody_sealed_is_refused_where_sealing_is_required() {
    let store = in_memory();
    let plain = instance_with(&store, None, |builder| builder.compress(64));
    for form in FORMS {
        let sealing = packing(&store, form);
        let manager = packing_required(&store, form);
        for forged in [Account::of("a thief"), long()] {
            let mut ada = Browser::with(&sealing, Account::of("Ada")).await;
            // What belongs to the session stays with it, as a sealed label does.
            ada.visit(&sealing, |session| session.set_label("a laptop")).await.unwrap();
            let thief = Browser::with(&plain, forged.clone()).await;
            let data = stored(&store, &thief.key(&plain).await).await.data;
            assert_eq!((data.is_sealed(), data.is_compressed()), (false, forged.cart.len() > 1));
            assert_eq!(ada.sees(&manager).await.unwrap().name, "Ada");

            assert_eq!(thief.sees(&manager).await, None);
            let key = ada.key(&sealing).await;
            tamper(&store, &key, |record| record.data = data.clone()).await;
            let before = manager.counts().unopened;
            assert_eq!(ada.sees(&manager).await, None);
            assert_eq!(manager.counts().unopened, before + 1);
            // A test that can fail: without the requirement it is read.
            assert_eq!(ada.sees(&sealing).await, Some(forged));
        }
    }
}

fn packing_required(store: &Store, form: Settings) -> Manager {
    instance_with(store, form().rollout(SealRollout::Require), |builder| builder.compress(64))
}

/// SECURITY 25. Whose session it is stands beside the data, and goes with it.
#[tokio::test]
async fn a_session_that_was_given_another_owner_is_refused() {
    let store = in_memory();
    for form in FORMS {
        let manager = packing_required(&store, form);
        for owner in [None, Some("eve")] {
            let mut eve = Browser::with(&manager, long()).await;
            if let Some(owner) = owner {
                eve.visit(&manager, |session| session.sign_in(owner, |_| ())).await.unwrap();
            }
            let key = eve.key(&manager).await;
            for other in [Some("ada"), Some("ev"), Some("evel"), None] {
                let before = manager.counts().unopened;
                tamper(&store, &key, |record| record.owner = other.map(|name| Owner::new(name).unwrap()))
                    .await;
                if other == owner {
                    continue;
                }
                assert_eq!(eve.sees(&manager).await, None, "{owner:?} {other:?}");
                assert_eq!(manager.counts().unopened, before + 1);
            }
            tamper(&store, &key, |record| record.owner = owner.map(|name| Owner::new(name).unwrap())).await;
            let session = eve.session(&manager).await;
            assert_eq!(session.owner().as_ref().map(Owner::as_str), owner);
            assert_eq!(session.read(Account::clone), long());
        }
    }
}

/// A copy in this process that one manager opened is not open to another one.
#[tokio::test]
async fn what_one_service_opened_in_memory_is_closed_to_another_one() {
    let store = in_memory();
    let manager = packing(&store, sealing);
    let other = instance(&store, Sealing::new(&KeyRing::generate()).unwrap());
    let none = instance(&store, None);
    for account in [Account::of("Ada"), long()] {
        let browser = Browser::with(&manager, account.clone()).await;
        for _ in 0..2 {
            assert_eq!(browser.sees(&manager).await.as_ref(), Some(&account));
            assert_eq!(browser.sees(&other).await, None);
            assert_eq!(browser.sees(&none).await, None);
        }
    }
    // The same keys in another manager do open it.
    let again = packing(&store, sealing);
    let browser = Browser::with(&manager, long()).await;
    for _ in 0..2 {
        assert_eq!(browser.sees(&manager).await, Some(long()));
        assert_eq!(browser.sees(&again).await, Some(long()));
    }
}

/// SECURITY 27: data that was compressed by somebody else.
#[tokio::test]
async fn a_bomb_is_absent_and_stays() {
    let store = in_memory();
    let manager = instance(&store, None);
    let browser = Browser::with(&manager, Account::of("Ada")).await;
    let key = browser.key(&manager).await;
    // 64 MB of the letter a, as LZ4 has it: a literal, and a match of itself that goes on and on.
    let mut bomb = (64_u32 << 20).to_be_bytes().to_vec();
    bomb.extend([0x1F, b'a', 1, 0]);
    bomb.extend(vec![0xFF; (64 << 20) / 255]);
    tamper(&store, &key, |record| record.data = Payload::new(0x41, bomb.clone())).await;
    let used = allocation_counter::measure(|| {
        let loaded = futures_util::FutureExt::now_or_never(browser.sees(&manager));
        assert_eq!(loaded.expect("there is nothing to wait for"), None);
    });
    assert!(used.bytes_max < 100_000, "{}", used.bytes_max);
    assert_eq!(manager.counts().corrupt, 1);
    assert_eq!(stored(&store, &key).await.data.bytes(), &bomb);
}

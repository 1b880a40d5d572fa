//! Everything at once: nobody is missed who is to be signed out.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use session_store::{
    Conflict, Error, Evict, Owner, OwnerHash, RedisLayout, RedisStore, Session, SessionStore as _,
};
use tokio::task::JoinSet;

use crate::stage::{Browser, Manager, manager_at, manager_with};
use crate::support::redis::{Cluster, Server};

const WORKERS: u64 = 12;
const REVOCATIONS: usize = 60;

/// When somebody began to end all sessions, and when that was done.
type Revocations = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// Signs in again and again, and in between does what a session can go through.
async fn work(manager: Manager, revocations: Revocations, over: Arc<AtomicBool>, requests: Arc<AtomicU64>) {
    let mut browser = Browser::default();
    let mut signed_in_at = Instant::now();
    for nth in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let began = Instant::now();
        let session = browser.session(&manager).await;
        let sees_itself_signed_in = session.owner().is_some();
        if sees_itself_signed_in {
            let revocations = revocations.lock().unwrap();
            let survived = revocations.iter().find(|(called, done)| signed_in_at < *called && *done < began);
            assert!(survived.is_none(), "a session outlived the end of all of its owner's sessions");
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let outcome = if sees_itself_signed_in {
            match nth % 3 {
                0 => browser.visit(&manager, Session::renew).await,
                1 => browser.visit(&manager, |session| session.write(|count| *count += 1)).await,
                _ => browser.visit(&manager, |session| session.set_label("worker")).await,
            }
        } else {
            browser = Browser::default();
            let outcome = browser.visit(&manager, |session| session.sign_in("ada", |_| ())).await;
            signed_in_at = Instant::now();
            outcome
        };
        match outcome {
            Ok(()) | Err(Error::Conflict(Conflict::Ended | Conflict::Moved)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

async fn nobody_is_missed(url: &str) {
    let managers = [manager_at(url).await, manager_at(url).await];
    let (revocations, over) = (Revocations::default(), Arc::new(AtomicBool::new(false)));
    let requests = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for nth in 0..WORKERS {
        let manager = managers[usize::from(nth.is_multiple_of(2))].clone();
        workers.spawn(work(manager, revocations.clone(), over.clone(), requests.clone()));
    }
    let (mut ended, enough) = (0, REVOCATIONS as u64);
    // On a busy machine the workers sign in slowly: it goes on until they have met the revocations often enough.
    for nth in 0..20 * REVOCATIONS {
        if nth >= REVOCATIONS && ended > enough {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let called = Instant::now();
        // By either instance.
        ended += managers[nth % 2].revoke_all("ada").await.unwrap();
        revocations.lock().unwrap().push((called, Instant::now()));
    }
    over.store(true, Ordering::Relaxed);
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    assert!(ended > enough, "only {ended} sessions were there to be ended");
    managers[0].revoke_all("ada").await.unwrap();
    assert_eq!(entries_of(url, "ada").await, 0, "no entry without a session");
    // A write that came after the end of its session began another one, of nobody.
    let left: Vec<_> = managers[0].sessions().try_collect().await.unwrap();
    assert!(left.iter().all(|session| session.owner.is_none()), "what no index knows was not there either");
    println!("{} requests, {ended} sessions ended", requests.load(Ordering::Relaxed));
}

/// What the index itself has, sessions or not.
async fn entries_of(url: &str, owner: &str) -> usize {
    let store = RedisStore::connect(url).await.unwrap();
    store
        .owners()
        .unwrap()
        .list(OwnerHash::of(&Owner::new(owner).unwrap()), None)
        .await
        .unwrap()
        .entries
        .len()
}

/// SECURITY 12 and 13.
#[tokio::test(flavor = "multi_thread")]
async fn ending_all_sessions_misses_none_on_one_server() {
    let server = Server::start().await;
    nobody_is_missed(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_all_sessions_misses_none_in_a_cluster() {
    let redis = Cluster::start().await;
    nobody_is_missed(&redis.url()).await;
}

#[cfg(feature = "express")]
#[tokio::test(flavor = "multi_thread")]
async fn ending_all_sessions_misses_none_in_the_layout_of_express() {
    use session_store::{ExpressLayout, KeyRing, RedisStore, SessionCookie, SessionManager};
    use std::collections::BTreeMap;
    let redis = Cluster::start().await;
    let layout = ExpressLayout::new(SessionCookie::new().name("connect.sid").secure(false));
    let store =
        RedisStore::builder(redis.url()).layout(RedisLayout::express(layout)).connect().await.unwrap();
    let keys = KeyRing::express("keyboard cat").unwrap();
    let manager = SessionManager::<BTreeMap<String, u32>>::builder(store, keys).build().unwrap();
    for round in 0..20_u64 {
        // A renewal on a cluster is two steps here, on two nodes.
        let mut cookies = Vec::new();
        for _ in 0..5 {
            let request = manager.begin(None);
            request.session().await.unwrap().sign_in("ada", |_| ()).unwrap();
            cookies.push(request.finish(200).await.set_cookie.unwrap());
        }
        let renewals: Vec<_> = cookies
            .iter()
            .map(|cookie| {
                let request = manager.begin(cookie.split(';').next());
                tokio::spawn(async move {
                    request.session().await.unwrap().renew().unwrap();
                    request.finish(200).await.set_cookie
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(100 * round)).await;
        manager.revoke_all("ada").await.unwrap();
        for renewal in renewals {
            cookies.extend(renewal.await.unwrap());
        }
        for cookie in &cookies {
            let session = manager.begin(cookie.split(';').next()).session().await.unwrap();
            assert_eq!(session.owner(), None, "round {round}");
        }
    }
}

/// SECURITY 15.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_sign_ins_at_once_end_with_five_sessions() {
    let redis = Cluster::start().await;
    for evict in [Evict::Oldest, Evict::Refuse] {
        let manager = manager_with(&redis.url(), |builder| builder.max_sessions_per_owner(5, evict)).await;
        let owner = format!("{evict:?}");
        let mut sign_ins = JoinSet::new();
        for _ in 0..50 {
            let (manager, owner) = (manager.clone(), owner.clone());
            sign_ins.spawn(async move {
                let mut browser = Browser::default();
                let outcome = browser.visit(&manager, |session| session.sign_in(owner, |_| ())).await;
                (browser, outcome)
            });
        }
        let browsers = sign_ins.join_all().await;
        let mut alive = 0;
        for (browser, outcome) in &browsers {
            assert!(
                matches!(outcome, Ok(()) | Err(Error::Conflict(Conflict::Ended | Conflict::TooManySessions))),
                "{outcome:?}"
            );
            let is_signed_in = browser.is_signed_in(&manager).await;
            assert!(outcome.is_ok() || !is_signed_in, "whose sign-in failed has no session");
            alive += usize::from(is_signed_in);
        }
        assert_eq!((alive, manager.sessions_of(&owner).await.unwrap().len()), (5, 5), "{evict:?}");
        assert_eq!(entries_of(&redis.url(), &owner).await, 5, "{evict:?}");
    }
}

//! What ends a session and what does not, in memory and in Redis, by another instance.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session_store::{
    Created, Ended, Error, Evict, Expiry, Loaded, MemoryStore, Record, Rotation, SessionKey, SessionStore,
    Touch, Ttl, Update, Updated,
};
use tokio::time::timeout;

use crate::stage::{AT_ONCE, Manager, Visitor, assert_goes_on, builder, connected, end_of, manager, waiting};
use crate::support::redis::Server;

/// Two instances of a service.
struct Service {
    here: Manager,
    there: Manager,
    _server: Option<Server>,
}

impl Service {
    async fn in_redis(expiry: Expiry) -> Self {
        let server = Server::start().await;
        let [here, there] = [connected(&server.url()).await, connected(&server.url()).await];
        let built = |store| builder(store).expiry(expiry).build().unwrap();
        Self { here: built(here), there: built(there), _server: Some(server) }
    }

    fn in_memory(expiry: Expiry) -> Self {
        let manager = builder(Arc::new(MemoryStore::new())).expiry(expiry).build().unwrap();
        Self { here: manager.clone(), there: manager, _server: None }
    }
}

macro_rules! everywhere {
    ($($test:ident: $expiry:expr;)*) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Service::in_memory($expiry)).await;
            })*
        }

        mod in_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Service::in_redis($expiry).await).await;
            })*
        }
    };
}

everywhere! {
    a_logout_ends_it: super::Expiry::default();
    a_revocation_ends_it: super::Expiry::default();
    a_renewal_does_not_end_it: super::Expiry::default();
    a_sign_in_ends_it_only_for_somebody_else: super::Expiry::default();
    who_comes_with_an_old_id_is_told_nothing: super::Expiry::default();
    changes_do_not_end_it: super::Expiry::default();
    it_expires: super::idle_for(1200);
    a_touch_keeps_it: super::idle_for(3000);
    it_expires_at_its_deadline: super::at_most(1200);
    what_is_not_stored_is_over: super::Expiry::default();
}

fn idle_for(millis: u64) -> Expiry {
    Expiry::idle(Duration::from_millis(millis))
}

fn at_most(millis: u64) -> Expiry {
    Expiry::absolute_only(Duration::from_millis(millis))
}

async fn a_logout_ends_it(service: Service) {
    let mut visitor = Visitor::of(&service.there).await;
    let waiting = waiting(&service.here, &visitor.key).await;
    visitor.asks(&service.there, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

async fn a_revocation_ends_it(service: Service) {
    let [one, other] =
        [Visitor::signed_in(&service.there, "ada").await, Visitor::signed_in(&service.there, "ada").await];
    let foreign = Visitor::signed_in(&service.there, "bob").await;
    let first = waiting(&service.here, &one.key).await;
    let second = waiting(&service.here, &other.key).await;
    let mut third = waiting(&service.here, &foreign.key).await;
    assert!(service.there.revoke(&one.key).await.unwrap());
    assert_eq!(end_of(first, AT_ONCE).await.0, Ended::SignedOut);
    assert_eq!(service.there.revoke_all("ada").await.unwrap(), 1);
    assert_eq!(end_of(second, AT_ONCE).await.0, Ended::SignedOut);
    assert_goes_on(&mut third).await;
}

async fn a_renewal_does_not_end_it(service: Service) {
    let mut visitor = Visitor::signed_in(&service.there, "ada").await;
    let first = visitor.key.clone();
    let mut waiting = waiting(&service.here, &first).await;
    for _ in 0..3 {
        visitor.asks(&service.there, async |session| session.renew().unwrap()).await;
        assert_ne!(visitor.key, first);
        assert_goes_on(&mut waiting).await;
    }
    visitor.asks(&service.there, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

/// SECURITY 7: the session behind the new id is none of theirs, not even whether it is there.
async fn who_comes_with_an_old_id_is_told_nothing(service: Service) {
    let mut visitor = Visitor::of(&service.there).await;
    let old = visitor.cookie.clone();
    visitor.asks(&service.there, async |session| session.sign_in("ada", |_| ()).unwrap()).await;
    let request = service.here.begin(Some(&old));
    let session = request.session().await.unwrap();
    let ended = timeout(AT_ONCE, session.ended()).await.expect("nothing is waited for");
    assert_eq!(ended.unwrap(), Ended::SignedOut);
}

async fn a_sign_in_ends_it_only_for_somebody_else(service: Service) {
    let mut visitor = Visitor::of(&service.there).await;
    let mut anonymous = waiting(&service.here, &visitor.key).await;
    for _ in 0..2 {
        visitor.asks(&service.there, async |session| session.sign_in("ada", |_| ()).unwrap()).await;
        assert_goes_on(&mut anonymous).await;
    }
    visitor.asks(&service.there, async |session| session.sign_in("bob", |_| ()).unwrap()).await;
    assert_eq!(end_of(anonymous, AT_ONCE).await.0, Ended::SignedOut);
}

async fn changes_do_not_end_it(service: Service) {
    let mut visitor = Visitor::of(&service.there).await;
    let mut waiting = waiting(&service.here, &visitor.key).await;
    for count in 0..20 {
        let write = async |session: &session_store::Session<_>| {
            session
                .write(|values: &mut session_store::Values| values.insert("count", count))
                .unwrap()
                .unwrap();
        };
        visitor.asks(&service.there, write).await;
    }
    assert_goes_on(&mut waiting).await;
}

async fn it_expires(service: Service) {
    let visitor = Visitor::of(&service.there).await;
    let waiting = waiting(&service.here, &visitor.key).await;
    assert_eq!(end_of(waiting, Duration::from_secs(5)).await.0, Ended::Expired);
}

async fn it_expires_at_its_deadline(service: Service) {
    let mut visitor = Visitor::of(&service.there).await;
    let waiting = waiting(&service.here, &visitor.key).await;
    visitor.asks(&service.there, async |session| session.touch().await.unwrap()).await;
    assert_eq!(end_of(waiting, Duration::from_secs(5)).await.0, Ended::Expired);
}

async fn a_touch_keeps_it(service: Service) {
    let mut visitor = Visitor::of(&service.there).await;
    let mut waiting = waiting(&service.here, &visitor.key).await;
    for _ in 0..9 {
        visitor.asks(&service.there, async |session| session.touch().await.unwrap()).await;
        assert_goes_on(&mut waiting).await;
    }
    assert_eq!(end_of(waiting, Duration::from_secs(6)).await.0, Ended::Expired);
}

async fn what_is_not_stored_is_over(service: Service) {
    let unknown = session_store::SessionId::generate().key();
    assert_eq!(service.here.ended(&unknown).await.unwrap(), Ended::SignedOut);
    let request = service.here.begin(None);
    let session = request.session().await.unwrap();
    assert_eq!(session.ended().await.unwrap(), Ended::SignedOut);

    let mut visitor = Visitor::of(&service.there).await;
    let ended = async |session: &session_store::Session<_>| {
        session.destroy().await.unwrap();
        assert_eq!(session.ended().await.unwrap(), Ended::SignedOut);
    };
    visitor.asks(&service.there, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sign_in_over_the_limit_ends_the_oldest() {
    let store = Arc::new(MemoryStore::new());
    let manager = builder(store).max_sessions_per_owner(1, Evict::Oldest).build().unwrap();
    let first = Visitor::signed_in(&manager, "ada").await;
    let waiting = waiting(&manager, &first.key).await;
    Visitor::signed_in(&manager, "ada").await;
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

/// A handler that holds a session may wait for its end, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_hand_is_waited_for() {
    let manager = manager(Arc::new(MemoryStore::new()));
    let mut visitor = Visitor::of(&manager).await;
    let request = manager.begin(Some(&visitor.cookie));
    let session = request.session().await.unwrap();
    let held = session.clone();
    let waiting = tokio::spawn(async move { held.ended().await });
    drop(request.finish(200).await);
    visitor.asks(&manager, async |session| session.destroy().await.unwrap()).await;
    assert_eq!(end_of(waiting, AT_ONCE).await.0, Ended::SignedOut);
}

/// A store around another one that does not pass its feed on.
#[derive(Debug)]
struct Silent(MemoryStore);

#[async_trait]
impl SessionStore for Silent {
    async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        self.0.load(key).await
    }

    async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        self.0.create(key, record, ttl).await
    }

    async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        self.0.update(update).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<bool, Error> {
        self.0.touch(touch).await
    }

    async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        self.0.rotate(rotation).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        self.0.delete(key).await
    }
}

#[tokio::test]
async fn a_store_that_tells_nothing_is_said_so() {
    let manager = manager(Silent(MemoryStore::new()));
    let visitor = Visitor::of(&manager).await;
    let error = manager.ended(&visitor.key).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

//! What each kind of request costs a real Redis, through the whole engine. Counted by the server,
//! not timed: round trips, commands sent, and commands that a script runs inside the server.

#![cfg(all(feature = "redis", feature = "json"))]

mod support;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use session_store::{
    Error, Expiry, KeyRing, ManualClock, RedisStore, Session, SessionManager, SessionManagerBuilder,
};
use support::redis::{Server, Traffic};

/// With the default share of a tenth, reading extends a session after 100 seconds.
const IDLE: Duration = Duration::from_secs(1000);

type Commands<'a> = &'a [(&'a str, u64)];

const GET: (&str, u64) = ("getrange", 1);
const SET: (&str, u64) = ("set", 1);
const EVALSHA: (&str, u64) = ("evalsha", 1);

struct Service {
    manager: SessionManager<u32>,
    clock: Arc<ManualClock>,
    /// A connection of our own, to ask the server what it did.
    watch: MultiplexedConnection,
    server: Server,
}

impl Service {
    /// A service whose Redis has not seen a script yet.
    async fn cold() -> Self {
        Self::cold_with(|builder| builder).await
    }

    async fn cold_with(
        settings: impl FnOnce(SessionManagerBuilder<u32>) -> SessionManagerBuilder<u32>,
    ) -> Self {
        let server = Server::start().await;
        let store = RedisStore::connect(server.url()).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        let builder = SessionManager::builder(store, KeyRing::generate())
            .expiry(Expiry::idle(IDLE))
            .clock(Arc::clone(&clock));
        let manager = settings(builder).build().unwrap();
        Self { manager, clock, watch: server.client().await, server }
    }

    /// A service whose Redis knows all scripts, as it does after the first few requests.
    async fn warm() -> Self {
        Self::cold().await.warmed_up().await
    }

    async fn warmed_up(self) -> Self {
        let service = self;
        let cookie = service.sign_up().await;
        service.visit(Some(&cookie), async |session| session.write(|visits| *visits += 1)).await;
        service.clock.advance(IDLE / 2);
        service.visit(Some(&cookie), read).await;
        let renewed = service.visit(Some(&cookie), async |session| session.renew()).await;
        service.visit(renewed.as_deref(), async |session| session.destroy().await).await;
        let counts = service.manager.counts();
        assert_eq!((counts.updated, counts.rotated, counts.touched, counts.destroyed), (1, 1, 1, 1));
        service
    }

    /// The cookie of a new visitor, who has something stored.
    async fn sign_up(&self) -> String {
        self.visit(None, async |session| session.write(|visits| *visits = 1)).await.expect("a new session")
    }

    /// A request and its response: the cookie that it sets, if any.
    async fn visit(
        &self,
        cookie: Option<&str>,
        handler: impl AsyncFnOnce(Session<u32>) -> Result<(), Error>,
    ) -> Option<String> {
        let request = self.manager.begin(cookie);
        handler(request.session().await.unwrap()).await.unwrap();
        let actions = request.finish(200).await;
        assert!(actions.failure.is_none(), "{:?}", actions.failure);
        actions.set_cookie.map(|header| header.split(';').next().unwrap().to_owned())
    }

    /// What `requests` cost: commands sent, each a round trip of its own, and commands that
    /// scripts ran inside the server, which are none.
    async fn assert_cost<R>(
        &self,
        sent: Commands<'_>,
        inside: Commands<'_>,
        requests: impl Future<Output = R>,
    ) -> R {
        let mut watch = self.watch.clone();
        let before = Traffic::of(&mut watch).await;
        let answer = requests.await;
        let traffic = Traffic::of(&mut watch).await.since(&before);

        let mut expected = Traffic { reads: sent.iter().map(|(_, calls)| calls).sum(), calls: [].into() };
        for (command, calls) in sent.iter().chain(inside) {
            *expected.calls.entry((*command).to_owned()).or_default() += calls;
        }
        assert_eq!(traffic, expected);
        answer
    }
}

async fn read(session: Session<u32>) -> Result<(), Error> {
    assert_eq!(session.read(|visits| *visits > 0), !session.is_new());
    Ok(())
}

#[tokio::test]
async fn requests_without_a_session_cost_nothing() {
    let service = Service::warm().await;
    let cookie = service.sign_up().await;

    let never_used = service.manager.begin(Some(&cookie)).finish(200);
    let _ = service.assert_cost(&[], &[], never_used).await;

    service.assert_cost(&[], &[], service.visit(None, read)).await;

    let forged = format!("{}AAAA", &cookie[..cookie.len() - 4]);
    service.assert_cost(&[], &[], service.visit(Some(&forged), read)).await;
    assert_eq!(service.manager.counts().forged, 1);
}

#[tokio::test]
async fn each_kind_of_request_has_its_price() {
    assert_prices(Service::warm().await).await;
}

/// None is dearer than another.
#[cfg(all(feature = "seal", feature = "compress"))]
#[tokio::test]
async fn each_kind_of_request_has_its_price_sealed_too() {
    use session_store::Sealing;

    let sealing = || Sealing::new(&KeyRing::generate()).unwrap().labels();
    for sealing in [sealing(), sealing().and_id()] {
        let service = Service::cold_with(|builder| builder.seal(sealing).compress(1)).await;
        assert_prices(service.warmed_up().await).await;
    }
}

/// Where it went, and what is there, are two questions: otherwise a script of the server follows the session.
#[cfg(feature = "seal")]
#[tokio::test]
async fn a_late_write_that_is_sealed_costs_two_round_trips_more() {
    use session_store::Sealing;

    let mut round_trips = Vec::new();
    for is_sealed in [false, true] {
        let service = Service::cold_with(|builder| {
            let sealing = Sealing::new(&KeyRing::generate()).unwrap();
            if is_sealed { builder.seal(sealing) } else { builder }
        });
        let service = service.await.warmed_up().await;
        let mut taken = Vec::new();
        // The first time brings what the server or the client has not done yet.
        for _ in 0..2 {
            let cookie = service.sign_up().await;
            let late = service.manager.begin(Some(&cookie));
            late.session().await.unwrap().write(|visits| *visits = 7).unwrap();
            let renewed = service.visit(Some(&cookie), async |session| session.renew()).await;
            let mut watch = service.watch.clone();
            let before = Traffic::of(&mut watch).await;
            assert!(late.finish(200).await.failure.is_none());
            taken.push(Traffic::of(&mut watch).await.since(&before).reads);
            let session = service.manager.begin(renewed.as_deref()).session().await.unwrap();
            assert_eq!(session.read(|visits| *visits), 7);
        }
        round_trips.push(taken[1]);
    }
    assert_eq!(round_trips[1], round_trips[0] + 2, "{round_trips:?}");
}

async fn assert_prices(service: Service) {
    let cookie = service.assert_cost(&[SET], &[], service.sign_up()).await;
    let cookie = Some(&*cookie);

    service.assert_cost(&[GET], &[], service.visit(cookie, read)).await;

    let (sent, inside): (Commands<'_>, Commands<'_>) = if service.server.sets_if_equal().await {
        (&[GET, SET], &[])
    } else {
        (&[GET, EVALSHA], &[GET, SET])
    };
    let modify = async |session: Session<u32>| session.write(|visits| *visits += 1);
    service.assert_cost(sent, inside, service.visit(cookie, modify)).await;

    let update = async |session: Session<u32>| session.update(|visits| *visits += 1).await;
    service.assert_cost(sent, inside, service.visit(cookie, update)).await;

    service.clock.advance(IDLE / 2);
    let touching = [("getrange", 1), ("pexpire", 1), ("setrange", 1)];
    service.assert_cost(&[GET, EVALSHA], &touching, service.visit(cookie, read)).await;

    // The script writes twice: the session at its new key, and the marker at the old one.
    let renew = async |session: Session<u32>| session.renew();
    let rotating = [GET, ("set", 2)];
    let renewed = service.assert_cost(&[GET, EVALSHA], &rotating, service.visit(cookie, renew)).await;

    let destroy = async |session: Session<u32>| session.destroy().await;
    let deleting = [("getrange", 1), ("del", 1)];
    service.assert_cost(&[GET, EVALSHA], &deleting, service.visit(renewed.as_deref(), destroy)).await;
}

#[tokio::test]
async fn a_thousand_reads_within_the_touch_window_are_a_thousand_gets() {
    let service = Service::warm().await;
    let cookie = service.sign_up().await;
    let reads = async {
        for _ in 0..1000 {
            service.clock.advance(Duration::from_millis(99));
            assert_eq!(service.visit(Some(&cookie), read).await, None);
        }
    };
    service.assert_cost(&[("getrange", 1000)], &[], reads).await;
}

/// A Redis that was restarted has forgotten its scripts. It learns them from the first write.
#[tokio::test]
async fn a_script_that_the_server_does_not_know_costs_one_more_round_trip_once() {
    let service = &Service::cold().await;
    let cookie = service.sign_up().await;
    let renew = |cookie: String| async move {
        let renewed = service.visit(Some(&cookie), async |session| session.renew()).await;
        renewed.expect("it has a new id")
    };
    let rotating = [GET, ("set", 2)];
    let cookie = service.assert_cost(&[GET, EVALSHA, ("eval", 1)], &rotating, renew(cookie)).await;
    service.assert_cost(&[GET, EVALSHA], &rotating, renew(cookie)).await;
}

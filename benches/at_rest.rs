//! What it takes to seal and to compress: bytes in the store, and microseconds. A new session is sealed or compressed
//! once; a change also opens what was stored before. In memory, on one thread.
//!
//! Each form does a few changes in turn, over and over, and the fastest turn counts: what else the machine does is not
//! the form's.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_store::{
    KeyRing, Loaded, MemoryStore, Sealing, SessionKey, SessionManager, SessionManagerBuilder, SessionStore,
};
use support::shopper::Shopper;
use support::visitor::sent_back;
use support::{Extent, at_once};
use tokio::runtime::{Builder, Runtime};

const LONG: [usize; 3] = [1_000, 10_000, 100_000];

type Form = fn(SessionManagerBuilder<Shopper>) -> SessionManagerBuilder<Shopper>;

const FORMS: [(&str, Form); 5] = [
    ("plain", |builder| builder),
    ("sealed", |builder| builder.seal(sealing())),
    ("sealed with the id", |builder| builder.seal(sealing().and_id())),
    ("compressed", |builder| builder.compress(512)),
    ("compressed, sealed", |builder| builder.compress(512).seal(sealing())),
];

fn sealing() -> Sealing {
    Sealing::new(&KeyRing::generate()).expect("keys of our own")
}

fn main() {
    let rounds = match Extent::wanted() {
        Extent::Test => 1,
        Extent::Short => 100,
        Extent::Long => 1000,
    };
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    println!(
        "| data, bytes | form | in the store | new, µs | more than plain | a change, µs | more than plain |"
    );
    println!("|--:|---|--:|--:|--:|--:|--:|");
    for shopper in [&[Shopper::ada()][..], &LONG.map(Shopper::with_cart_of)].concat() {
        let length = shopper.to_json().len();
        let together = u32::try_from((100_000 / length).clamp(5, 200)).expect("it is small");
        let services = FORMS.map(|(name, form)| (name, Service::start(&runtime, form, &shopper)));
        let mut fastest = FORMS.map(|_| [Duration::MAX; 2]);
        for _ in 0..rounds {
            for ((_, service), [new, change]) in services.iter().zip(&mut fastest) {
                let mut others = Vec::new();
                let taken = timed(&runtime, together, async || others.push(service.sign_up().await));
                *new = taken.min(*new);
                service.forget(others);
                *change = timed(&runtime, together, async || service.change().await).min(*change);
            }
        }
        for ((name, service), taken) in services.iter().zip(fastest) {
            let micros = |taken: Duration| taken.as_secs_f64() * 1e6;
            let [new, change] = taken.map(micros);
            let [plain_new, plain_change] = fastest[0].map(micros);
            let (more_new, more_change) = (new - plain_new, change - plain_change);
            let stored = service.stored;
            println!(
                "| {length} | {name} | {stored} | {new:.1} | {more_new:.1} | {change:.1} | {more_change:.1} |"
            );
        }
    }
}

/// How long each of so many takes, one after the other.
fn timed(runtime: &Runtime, times: u32, mut work: impl AsyncFnMut()) -> Duration {
    let start = Instant::now();
    runtime.block_on(async {
        for _ in 0..times {
            work().await;
        }
    });
    start.elapsed() / times
}

/// A service whose sessions are in this form, and somebody who has one.
struct Service<'a> {
    store: Arc<MemoryStore>,
    manager: SessionManager<Shopper>,
    shopper: &'a Shopper,
    cookie: String,
    /// So many bytes of data.
    stored: usize,
}

impl<'a> Service<'a> {
    fn start(runtime: &Runtime, form: Form, shopper: &'a Shopper) -> Self {
        let store = Arc::new(MemoryStore::new());
        let builder = SessionManager::builder(Arc::clone(&store), KeyRing::generate());
        let manager = form(builder).build().expect("the settings agree");
        let mut service = Self { store, manager, shopper, cookie: String::new(), stored: 0 };
        let (cookie, key) = runtime.block_on(service.sign_up());
        service.stored = match at_once(service.store.load(&key)).expect("it is in memory") {
            Loaded::Found(record) => record.data.bytes().len(),
            other => panic!("the session is there, not {other:?}"),
        };
        Self { cookie, ..service }
    }

    async fn sign_up(&self) -> (String, SessionKey) {
        let request = self.manager.begin(None);
        let session = request.session().await.expect("nothing is asked for yet");
        session.write(|kept| kept.clone_from(self.shopper)).expect("the response is not on its way");
        let set_cookie = request.finish(200).await.set_cookie.expect("there is something to remember");
        (sent_back(&set_cookie), session.key().expect("it is stored"))
    }

    async fn change(&self) {
        let request = self.manager.begin(Some(&self.cookie));
        let session = request.session().await.expect("the store is in memory");
        session.write(|shopper| shopper.visits += 1).expect("the response is not on its way");
        assert!(request.finish(200).await.failure.is_none());
    }

    /// Who signed up meanwhile leaves, so that the store does not fill.
    fn forget(&self, others: Vec<(String, SessionKey)>) {
        for (_, key) in others {
            assert!(at_once(self.store.delete(&key)).expect("it is in memory"));
        }
    }
}

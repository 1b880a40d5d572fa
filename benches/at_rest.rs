//! What it takes to seal and to compress: bytes in the store, and microseconds for a change of a session, which opens what
//! was stored before and brings into its form what is stored next. In memory, on one thread.
//!
//! Each form does a few changes in turn, over and over, and the fastest turn counts: what else the machine does is not
//! the form's.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_store::{
    KeyRing, Loaded, MemoryStore, Sealing, SessionManager, SessionManagerBuilder, SessionStore,
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
    println!("| data, bytes | form | in the store | a change, µs | more than plain |\n|--:|---|--:|--:|--:|");
    for shopper in [&[Shopper::ada()][..], &LONG.map(Shopper::with_cart_of)].concat() {
        let length = shopper.to_json().len();
        let together = u32::try_from((100_000 / length).clamp(5, 200)).expect("it is small");
        let visitors = FORMS.map(|(name, form)| (name, Visitor::arrive(&runtime, form, &shopper)));
        let mut fastest = FORMS.map(|_| Duration::MAX);
        for _ in 0..rounds {
            for ((_, visitor), fastest) in visitors.iter().zip(&mut fastest) {
                let start = Instant::now();
                runtime.block_on(async {
                    for _ in 0..together {
                        visitor.change().await;
                    }
                });
                *fastest = (start.elapsed() / together).min(*fastest);
            }
        }
        let micros = |taken: Duration| taken.as_secs_f64() * 1e6;
        for ((name, visitor), taken) in visitors.iter().zip(fastest) {
            let more = micros(taken) - micros(fastest[0]);
            println!("| {length} | {name} | {} | {:.1} | {more:.1} |", visitor.stored, micros(taken));
        }
    }
}

/// Somebody whose session is in this form.
struct Visitor {
    manager: SessionManager<Shopper>,
    cookie: String,
    /// So many bytes of data.
    stored: usize,
}

impl Visitor {
    fn arrive(runtime: &Runtime, form: Form, shopper: &Shopper) -> Self {
        let store = Arc::new(MemoryStore::new());
        let builder = SessionManager::builder(Arc::clone(&store), KeyRing::generate());
        let manager = form(builder).build().expect("the settings agree");
        let (cookie, key) = runtime.block_on(async {
            let request = manager.begin(None);
            let session = request.session().await.expect("nothing is asked for yet");
            session.write(|kept| kept.clone_from(shopper)).expect("the response is not on its way");
            let set_cookie = request.finish(200).await.set_cookie.expect("there is something to remember");
            (sent_back(&set_cookie), session.key().expect("it is stored"))
        });
        match at_once(store.load(&key)).expect("it is in memory") {
            Loaded::Found(record) => Self { manager, cookie, stored: record.data.bytes().len() },
            other => panic!("the session is there, not {other:?}"),
        }
    }

    async fn change(&self) {
        let request = self.manager.begin(Some(&self.cookie));
        let session = request.session().await.expect("the store is in memory");
        session.write(|shopper| shopper.visits += 1).expect("the response is not on its way");
        assert!(request.finish(200).await.failure.is_none());
    }
}

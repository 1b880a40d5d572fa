//! Does one thing so many times: what `instructions.sh` counts the instructions of.
//!
//! `instructions STEP COUNT`; without arguments, or with Cargo's, each step once.

mod support;

use std::cell::LazyCell;
use std::env::args;
use std::hint::black_box;

use session_store::{KeyRing, MemoryStore, RedisStore, Sealing, SessionManagerBuilder};
use support::floor::Raw;
use support::raw_session::RawSession;
use support::redis::Server;
use support::runtime;
use support::shopper::Shopper;
use support::signing::{Engine, SignedJar};
use tokio::runtime::Runtime;

/// Answers whether it did what its name says.
type Step = fn(&Stage) -> bool;

const STEPS: [(&str, Step); 19] = [
    ("nothing", |_| true),
    ("begin", |stage| {
        black_box(stage.engine.begin(black_box(None)));
        true
    }),
    ("begin-verified", |stage| {
        black_box(stage.engine.begin(black_box(Some(&stage.engine.cookie))));
        true
    }),
    ("begin-forged", |stage| {
        black_box(stage.engine.begin(black_box(Some(&stage.engine.forged))));
        true
    }),
    ("begin-forged-twice", |stage| {
        black_box(stage.engine.begin_with_two_keys(black_box(Some(&stage.engine.forged))));
        true
    }),
    ("respond", |stage| black_box(stage.engine.respond_as_it_is()).is_none()),
    ("respond-signed", |stage| black_box(stage.engine.respond(black_box(&stage.engine.cookie))).is_some()),
    ("read", |stage| stage.engine.read() == 17),
    ("write", |stage| stage.engine.write() > 17),
    ("redis-read", |stage| stage.redis.engine.read() == 17),
    ("redis-write", |stage| stage.redis.engine.write() > 17),
    ("sealed-read", |stage| stage.sealed.read() == 17),
    ("sealed-write", |stage| stage.sealed.write() > 17),
    ("redis-sealed-read", |stage| stage.redis.sealed.read() == 17),
    ("redis-sealed-write", |stage| stage.redis.sealed.write() > 17),
    ("raw-read", |stage| stage.redis.engine.block_on(stage.redis.raw.read()) == 17),
    ("raw-write", |stage| stage.redis.engine.block_on(stage.redis.raw.write()) > 17),
    ("jar-verify", |stage| black_box(stage.jar.verify(black_box(&stage.jar.cookie))).is_some()),
    ("jar-sign", |stage| !black_box(black_box(&stage.jar).sign()).is_empty()),
];

struct Stage {
    engine: Engine,
    /// The same, whose sessions are encrypted.
    sealed: Engine,
    jar: SignedJar,
    /// Started by the first who needs it.
    redis: LazyCell<OnRedis>,
}

/// Sessions in Redis, and beside them what the client alone does there.
struct OnRedis {
    engine: Engine,
    sealed: Engine,
    raw: RawSession,
    _server: Server,
}

impl OnRedis {
    fn start() -> Self {
        let runtime = runtime();
        let server = runtime.block_on(Server::start());
        let store = |runtime: &Runtime| {
            runtime.block_on(RedisStore::connect(server.url())).expect("the server answers")
        };
        let raw = runtime.block_on(async {
            let raw = Raw::connect(std::slice::from_ref(&server)).await;
            RawSession::sign_up(raw.first()).await
        });
        let others = support::runtime();
        let sealed = store(&others);
        let engine = store(&runtime);
        Self {
            sealed: Engine::with(others, sealed, sealing),
            engine: Engine::new(runtime, engine),
            raw,
            _server: server,
        }
    }
}

fn sealing(builder: SessionManagerBuilder<Shopper>) -> SessionManagerBuilder<Shopper> {
    builder.seal(Sealing::new(&KeyRing::generate()).expect("keys of our own"))
}

fn main() {
    let engine = Engine::new(runtime(), MemoryStore::new());
    let sealed = Engine::with(runtime(), MemoryStore::new(), sealing);
    let jar = SignedJar::new(engine.id());
    let stage = Stage { jar, engine, sealed, redis: LazyCell::new(OnRedis::start) };
    let arguments: Vec<_> = args().skip(1).collect();
    let (chosen, count) = match &arguments[..] {
        [step, count] if !step.starts_with('-') => (Some(&**step), count.parse().expect("a number")),
        _ => (None, 1_u64),
    };
    let mut done = 0;
    for (name, step) in STEPS {
        if chosen.is_none_or(|chosen| chosen == name) {
            assert!((0..count).all(|_| step(&stage)), "{name}");
            done += 1;
        }
    }
    assert!(done > 0, "there is no step {chosen:?}");
}

//! Does one thing with a cookie so many times: what `instructions.sh` counts the instructions of.
//!
//! `instructions STEP COUNT`; without arguments, or with Cargo's, each step once.

mod support;

use std::env::args;
use std::hint::black_box;

use support::runtime;
use support::signing::{Engine, SignedJar};

/// Answers whether it did what its name says.
type Step = fn(&Stage) -> bool;

const STEPS: [(&str, Step); 9] = [
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
    ("jar-verify", |stage| black_box(stage.jar.verify(black_box(&stage.jar.cookie))).is_some()),
    ("jar-sign", |stage| !black_box(black_box(&stage.jar).sign()).is_empty()),
];

struct Stage {
    engine: Engine,
    jar: SignedJar,
}

fn main() {
    let engine = Engine::new(runtime());
    let stage = Stage { jar: SignedJar::new(engine.id()), engine };
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

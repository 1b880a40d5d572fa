//! What a cookie takes: finding and verifying it in a request, signing and writing it for a response,
//! each beside cookie-rs' signed jar with the same id.
//!
//! The engine has no call for either alone. `begin` is measured as a whole, with and without a cookie.
//! A response with a cookie is that to a visitor whose cookie a retiring key signed: beside signing,
//! it contains a first key that does not fit, which `forged, two keys` less `forged` is, and asks the store
//! in a task of its own whether the session is still there.

mod support;

use std::hint::black_box;
use std::time::Duration;

use session_store::MemoryStore;
use support::signing::{Engine, FOREIGN, SignedJar};
use support::{criterion, finish, runtime};

fn main() {
    let mut criterion = criterion(Duration::from_secs(1));
    let engine = Engine::new(runtime(), MemoryStore::new());
    let jar = SignedJar::new(engine.id());
    let among_others = format!("{FOREIGN}; {}", engine.cookie);
    assert!(jar.verify(&jar.cookie).is_some_and(|id| id == engine.id()));
    assert!(engine.respond(&engine.cookie).is_some() && engine.respond_as_it_is().is_none());

    let mut group = criterion.benchmark_group("request's cookie");
    for (name, header) in [
        ("none", None),
        ("not ours", Some(FOREIGN)),
        ("unsigned", Some(&*format!("__Host-Http-id={}", engine.id()))),
        ("forged", Some(&*engine.forged)),
        ("verified", Some(&*engine.cookie)),
        ("verified among others", Some(&*among_others)),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| engine.begin(black_box(header))));
    }
    group.bench_function("forged, two keys", |bencher| {
        bencher.iter(|| engine.begin_with_two_keys(black_box(Some(&*engine.forged))));
    });
    group.bench_function("cookie-rs, verified", |bencher| {
        bencher.iter(|| jar.verify(black_box(&jar.cookie)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("response's cookie");
    group.bench_function("none", |bencher| bencher.iter(|| engine.respond_as_it_is()));
    group.bench_function("signed", |bencher| bencher.iter(|| engine.respond(black_box(&engine.cookie))));
    group.bench_function("cookie-rs, signed", |bencher| bencher.iter(|| black_box(&jar).sign()));
    group.finish();
    finish(&criterion);
}

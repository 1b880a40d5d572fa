//! What it takes to bind sessions to devices: a request that reads, with the binding switched off, and with it on for a
//! browser that binds nothing and for one that does; and the check of a browser's proof, which is what
//! `refresh, proof refused` takes beside `refresh, no proof`. Through tower, on one thread, in memory.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, SamplingMode, Throughput};
use http::request::Parts;
use http::{Request, Response};
use session_store::{KeyRing, MemoryStore, Session, SessionLayer};
use tokio::runtime::Runtime;

use crate::hosts::{self, Manager, one_thread};
use crate::support::device::{Device, binding_manager};
use crate::support::visitor::{manager, sign_up};

pub(crate) fn requests(
    mut group: BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    memory: &Arc<MemoryStore>,
) {
    group.throughput(Throughput::Elements(1)).sampling_mode(SamplingMode::Flat);
    let off = manager(Arc::clone(memory), KeyRing::generate());
    let on = binding_manager(Arc::clone(memory));
    let device = runtime.block_on(Device::bind(&on));
    let read = |cookies: &str| Request::get("/read").header("cookie", cookies);
    let plain = |manager: &Manager| read(&runtime.block_on(sign_up(manager)));
    for (name, manager, request, status) in [
        ("read, off", &off, plain(&off), 200),
        ("read, not bound", &on, plain(&on), 200),
        ("read, bound", &on, read(&device.cookies), 200),
        ("refresh, no proof", &on, device.refresh(None), 403),
        ("refresh, proof refused", &on, device.refresh(Some(&device.impostors_proof())), 403),
    ] {
        let (head, ()) = request.body(()).expect("a request").into_parts();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|steps| ask(manager, &head, status, steps));
        });
    }
}

fn ask(manager: &Manager, head: &Parts, status: u16, steps: u64) -> Duration {
    let mut service =
        SessionLayer::new(manager.clone()).layer(service_fn(async |request: Request<String>| {
            let session = Session::from_extensions(request.extensions()).await;
            hosts::read(&session.expect("the store answers"));
            Ok::<_, Infallible>(Response::new("done".to_owned()))
        }));
    one_thread().block_on(async {
        let start = Instant::now();
        for _ in 0..steps {
            let request = Request::from_parts(head.clone(), String::new());
            let response = service.ready().await.expect("it is infallible").call(request).await;
            let response = response.expect("it is infallible");
            assert_eq!(response.status(), status);
            black_box(response);
        }
        start.elapsed()
    })
}

//! What a session takes of a request: of the engine alone, and through each adapter beside the same
//! service without sessions; what it takes to seal them, and to bind them to devices; and what it takes to watch.

#[path = "../support/mod.rs"]
mod support;

mod actix_web;
mod at_rest;
mod axum;
mod device;
mod engine;
mod hosts;
mod observed;
mod tower;
mod warp;

use std::sync::Arc;
use std::time::Duration;

use session_store::{MemoryStore, RedisStore};
use support::redis::Server;
use support::{criterion, finish, runtime};

fn main() {
    let mut criterion = criterion(Duration::from_secs(2));
    let runtime = runtime();
    let server = runtime.block_on(Server::start());
    let redis = runtime.block_on(RedisStore::connect(server.url())).expect("the server answers");
    let (memory, redis) = (Arc::new(MemoryStore::new()), Arc::new(redis));

    engine::requests(criterion.benchmark_group("memory"), &runtime, Arc::clone(&memory));
    engine::requests(criterion.benchmark_group("redis"), &runtime, Arc::clone(&redis));
    at_rest::requests(criterion.benchmark_group("at rest, memory"), &runtime, &memory, 1);
    at_rest::requests(criterion.benchmark_group("at rest, redis"), &runtime, &redis, 64);
    for host in hosts::ALL {
        hosts::requests(criterion.benchmark_group(host.name), &host, &runtime, &memory, &redis);
    }
    device::requests(criterion.benchmark_group("device"), &runtime, &memory);
    observed::requests(criterion.benchmark_group("watched"), &memory, &redis);
    finish(&criterion);
}

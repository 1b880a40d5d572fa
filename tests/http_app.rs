//! Runs the HTTP script, which is in `tests/http/`, against the examples: each host framework with
//! each backend, as real processes that speak real HTTP.

#![cfg(all(feature = "axum", feature = "memory"))]

#[macro_use]
mod http;
mod support;

use support::app::Host;

const AXUM: Host = Host { example: "axum" };

mod axum_in_memory {
    script_for_every_backend!(crate::AXUM, Memory);
    script_for_memory!(crate::AXUM);
}

#[cfg(feature = "redis")]
mod axum_in_redis {
    script_for_every_backend!(crate::AXUM, Redis);
    script_for_redis!(crate::AXUM);
}

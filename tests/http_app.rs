//! Runs the HTTP script, which is in `tests/http/`, against the examples: each host framework with
//! each backend, as real processes that speak real HTTP.

#![cfg(all(any(feature = "axum", feature = "actix-web", feature = "warp"), feature = "memory"))]

#[macro_use]
mod http;
mod support;

use support::app::Host;

#[cfg(feature = "axum")]
const AXUM: Host = Host { example: "axum" };
#[cfg(feature = "actix-web")]
const ACTIX_WEB: Host = Host { example: "actix_web" };
#[cfg(feature = "warp")]
const WARP: Host = Host { example: "warp" };

#[cfg(feature = "axum")]
mod axum_in_memory {
    script_for_every_backend!(crate::AXUM, Memory);
    script_for_memory!(crate::AXUM);
}

#[cfg(all(feature = "axum", feature = "redis"))]
mod axum_in_redis {
    script_for_every_backend!(crate::AXUM, Redis);
    script_for_redis!(crate::AXUM);
}

#[cfg(feature = "actix-web")]
mod actix_web_in_memory {
    script_for_every_backend!(crate::ACTIX_WEB, Memory);
    script_for_memory!(crate::ACTIX_WEB);
}

#[cfg(all(feature = "actix-web", feature = "redis"))]
mod actix_web_in_redis {
    script_for_every_backend!(crate::ACTIX_WEB, Redis);
    script_for_redis!(crate::ACTIX_WEB);
}

#[cfg(feature = "warp")]
mod warp_in_memory {
    script_for_every_backend!(crate::WARP, Memory);
    script_for_memory!(crate::WARP);
}

#[cfg(all(feature = "warp", feature = "redis"))]
mod warp_in_redis {
    script_for_every_backend!(crate::WARP, Redis);
    script_for_redis!(crate::WARP);
}

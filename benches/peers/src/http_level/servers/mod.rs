//! The servers in Rust: one process for each, with the same routes, the same payload and two workers.
//!
//! | route | does |
//! |---|---|
//! | `/sign_in` | stores the shopper in a new session |
//! | `/read` | answers a text made from the whole payload; 401 for strangers |
//! | `/count` | the same, and counts this visit in the session |

use std::error::Error;
use std::io;

use tokio::net::TcpListener;

use crate::payload::DAY;

mod actix_ours;
mod actix_peer;
mod axum_ours;
mod axum_session;
mod axum_tower_sessions;
mod bare;
mod on_axum;
mod on_hyper;
mod ours;
mod warp_ours;

/// The secret of every server that signs its cookies: 64 bytes, as actix-session wants.
const SECRET: &[u8; 64] = b"only for benchmarks: oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5xAbZ";

/// Of actix-web, as many as the runtime of the others has threads.
const WORKERS: usize = 2;

type Outcome = Result<(), Box<dyn Error>>;

/// Runs the server `name` until it is killed.
pub fn serve(name: &str, mode: &str, redis: &str) -> Outcome {
    match name {
        "axum" => bare::axum(),
        "actix" => bare::actix(),
        "warp" => bare::warp(),
        "axum-ours" => axum_ours::serve(mode, redis),
        "actix-ours" => actix_ours::serve(mode, redis),
        "warp-ours" => warp_ours::serve(mode, redis),
        "axum-tower-sessions" => axum_tower_sessions::serve(mode, redis),
        "axum-session" => axum_session::serve(mode, redis),
        "actix-session" => actix_peer::serve(mode, redis),
        other => Err(format!("there is no server {other:?}").into()),
    }
}

async fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

fn unknown<T>(mode: &str) -> Result<T, Box<dyn Error>> {
    Err(format!("this server has no mode {mode:?}").into())
}

fn day() -> time::Duration {
    time::Duration::try_from(DAY).expect("a day is not long")
}

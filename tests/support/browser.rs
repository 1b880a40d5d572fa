//! A person with a browser: Chromium without a window.

use serde_json::Value;

use super::Site;
use super::node;

/// Walks through both services of `examples/express_migration` behind one origin, as
/// `tests/browser/crossing.mjs` says, and answers what was seen at each step.
pub async fn cross(origin: &impl Site) -> Value {
    let mut walk = node::node("tests/browser");
    walk.args(["crossing.mjs", origin.url()]);
    node::output(walk).await
}

/// Opens an example with a WebSocket in two tabs, as `tests/browser/live.mjs` says, and answers what the first one
/// showed.
pub async fn open_socket(app: &impl Site) -> Value {
    let mut walk = node::node("tests/browser");
    walk.args(["live.mjs", app.url()]);
    node::output(walk).await
}

/// Signs in from three devices at the example of an account page and ends two of these sessions, as
/// `tests/browser/devices.mjs` says; answers what the first device showed.
pub async fn use_devices(app: &impl Site) -> Value {
    let mut walk = node::node("tests/browser");
    walk.args(["devices.mjs", app.url()]);
    node::output(walk).await
}

/// Plays a scene of `tests/browser/device.mjs` at `https://bank.test` at this port of the loopback interface, whose
/// certificate's key has this hash, and answers what was seen.
pub async fn bind(port: &str, key_hash: &str, scene: &str) -> Value {
    let mut walk = node::node("tests/browser");
    walk.args(["device.mjs", port, key_hash, scene]);
    node::output(walk).await
}

/// Lets a page of `evil.shop.test` set cookies for `shop.test`, both at this port of the loopback interface, while
/// somebody is signed in there, as `tests/browser/sibling.mjs` says; answers what was seen. `planted` is the
/// attacker's own cookie.
pub async fn plant(port: u16, planted: &str) -> Value {
    let mut walk = node::node("tests/browser");
    walk.args(["sibling.mjs", &port.to_string(), planted]);
    node::output(walk).await
}

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

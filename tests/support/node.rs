//! The shop on Express, services with packages of other versions, and scripts, all run by a real Node: by `node`, or
//! by the program that `NODE` names.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::app::App;

const WITHIN: Duration = Duration::from_secs(60);

/// Starts `server.js` with these settings, which the README beside it explains.
pub async fn shop(settings: &[(&str, &str)]) -> App {
    let mut node = node("examples/express_migration");
    node.arg("server.js");
    App::run(node, settings).await
}

/// Starts a service of `tests/node` with the packages of a folder.
pub async fn service(name: &str, folder: &str, settings: &[(&str, &str)]) -> App {
    let mut node = node(folder);
    node.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node").join(name));
    App::run(node, settings).await
}

/// What the body of an async function in `CommonJS` returns, such as
/// `return Object.keys(require('express-session'))`; `undefined` is `null`.
pub async fn evaluate(body: &str) -> Value {
    let mut node = node("examples/express_migration");
    let script = format!(
        "(async () => {{ {body}\n}})().then((it) => process.stdout.write(JSON.stringify(it ?? null)))"
    );
    node.args(["--input-type=commonjs", "--eval", &script]);
    output(node).await
}

/// Node, in a folder of this package whose own packages are installed.
pub(super) fn node(folder: &str) -> Command {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let installed = folder.join("node_modules").is_dir();
    assert!(
        installed,
        "{} has no node_modules: tests/run.sh installs what it needs, tests/node_versions.sh the rest",
        folder.display()
    );
    let mut node = Command::new(env::var_os("NODE").unwrap_or_else(|| "node".into()));
    node.current_dir(folder);
    node
}

/// The JSON that the command prints.
pub(super) async fn output(command: Command) -> Value {
    let mut command = tokio::process::Command::from(command);
    let Ok(output) = timeout(WITHIN, command.kill_on_drop(true).output()).await else {
        panic!("no end of {command:?} within {WITHIN:?}");
    };
    let output = output.unwrap_or_else(|e| panic!("tests/run.sh installs what is missing: {e}: {command:?}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

//! Where and with what it was measured.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::results::Version;

/// In the order of the results: when, on what, with which versions.
pub fn describe() -> (String, String, Vec<Version>) {
    let when = time::OffsetDateTime::now_utc().date().to_string();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = format!("{processors} × {}", model().unwrap_or_else(|| "unknown processor".to_owned()));
    // The program that the servers of the tests are, too.
    let redis = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let server = |name, program: &OsStr| version(name, &said(program, |line| word_after(line, "v=")));
    let mut versions = vec![server("redis-server", &redis)];
    versions.extend(valkey().map(|valkey| server("valkey-server", &valkey)));
    let node = said("node".as_ref(), |line| Some(line.trim_start_matches('v').to_owned()));
    versions.push(version("Node", &node));
    versions.extend(crates());
    versions.extend(packages());
    (when, machine, versions)
}

/// The program of the second server.
pub fn valkey() -> Option<OsString> {
    std::env::var_os("VALKEY_SERVER")
}

fn version(what: &str, version: &str) -> Version {
    Version { what: what.to_owned(), version: version.to_owned() }
}

fn model() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// What `pick` finds in what the program says of its version.
fn said(program: &OsStr, pick: impl Fn(&str) -> Option<String>) -> String {
    let output = Command::new(program).arg("--version").output().ok();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.and_then(|said| pick(&said)).unwrap_or_else(|| "unknown".to_owned())
}

fn word_after(line: &str, mark: &str) -> Option<String> {
    line.split_once(mark)?.1.split(' ').next().map(str::to_owned)
}

/// What was built, by the lock file.
fn crates() -> Vec<Version> {
    const NAMED: [&str; 13] = [
        "session-store",
        "redis",
        "axum",
        "actix-web",
        "warp",
        "tokio",
        "moka",
        "tower-sessions",
        "tower-sessions-redis-store",
        "tower-sessions-moka-store",
        "fred",
        "actix-session",
        "axum_session",
    ];
    let lock = include_str!("../Cargo.lock");
    let quoted = |line: &str, key: &str| Some(line.strip_prefix(key)?.trim_matches('"').to_owned());
    let package = |text: &str| {
        let name = text.lines().find_map(|line| quoted(line, "name = "))?;
        let number = text.lines().find_map(|line| quoted(line, "version = "))?;
        NAMED.contains(&&*name).then(|| version(&name, &number))
    };
    lock.split("[[package]]").filter_map(package).collect()
}

fn packages() -> Vec<Version> {
    let manifest: serde_json::Value =
        serde_json::from_str(include_str!("../node/package.json")).expect("npm reads it");
    let packages = manifest["dependencies"].as_object().into_iter().flatten();
    packages
        .map(|(name, number)| version(&format!("npm {name}"), number.as_str().unwrap_or_default()))
        .collect()
}

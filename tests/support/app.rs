//! The example applications, each run as the process that a user would run.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::Site;
use super::process::Process;

/// A web framework, and the example that shows the shop in it.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The example's name, as in `cargo build --example <name>`.
    pub example: &'static str,
}

/// A running example. It is killed (SIGKILL) when this is dropped.
#[derive(Debug)]
pub struct App {
    process: Process,
    url: String,
}

impl App {
    /// Starts the example with these environment variables, and none of ours that name settings.
    ///
    /// # Panics
    ///
    /// If the example cannot be built, or ends instead of listening: a test that skipped itself would
    /// prove nothing.
    pub async fn start(host: Host, settings: &[(&str, &str)]) -> Self {
        Self::run(Command::new(binary(host)), settings).await
    }

    /// The same with any command that takes its settings from the environment and says where it listens.
    pub async fn run(command: Command, settings: &[(&str, &str)]) -> Self {
        let mut process = Process::spawn(command, settings);
        match process.announced_url().await {
            Some(url) => Self { process, url },
            None => panic!("the application ended at its start:\n{}", process.end().await.1),
        }
    }

    /// Starts the example with settings that it must refuse: its exit status, and what it printed.
    pub async fn refuse_to_start(host: Host, settings: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut process = Process::spawn(Command::new(binary(host)), settings);
        if let Some(url) = process.announced_url().await {
            panic!("the example `{}` listens on {url} with settings that it should refuse", host.example);
        }
        process.end().await
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills the process, and answers what it printed in its life, on stdout and stderr.
    pub async fn into_output(mut self) -> String {
        self.process.kill();
        self.process.end().await.1
    }
}

impl Site for App {
    fn url(&self) -> &str {
        &self.url
    }
}

/// The example, built once by whoever needs it first.
fn binary(host: Host) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashMap<&str, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(host.example).or_insert_with(|| build(host)).clone()
}

/// Builds the example with this test's features, which costs nothing if it is up to date. A
/// `cargo run` with other features may have left another one in its place.
fn build(host: Host) -> PathBuf {
    let test = env::current_exe().expect("a running test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in target/<profile>/deps");
    let features = [
        // Also those that only name others: with the same features, nothing is compiled again.
        ("default", cfg!(feature = "default")),
        ("full", cfg!(feature = "full")),
        ("cli", cfg!(feature = "cli")),
        ("test-util", cfg!(feature = "test-util")),
        ("memory", cfg!(feature = "memory")),
        ("redis", cfg!(feature = "redis")),
        ("tls", cfg!(feature = "tls")),
        ("messagepack", cfg!(feature = "messagepack")),
        ("bincode", cfg!(feature = "bincode")),
        ("tower", cfg!(feature = "tower")),
        ("axum", cfg!(feature = "axum")),
        ("express", cfg!(feature = "express")),
        ("actix-web", cfg!(feature = "actix-web")),
        ("warp", cfg!(feature = "warp")),
        ("metrics", cfg!(feature = "metrics")),
        ("conformance", cfg!(feature = "conformance")),
    ];
    let features: Vec<_> = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let mut cargo = Command::new(env!("CARGO"));
    // As if it was not called from a test: some build scripts are run again where these change.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo.args(["build", "--quiet", "--no-default-features", "--example", host.example]);
    cargo.arg("--features").arg(features.join(","));
    cargo.arg("--target-dir").arg(profile.parent().expect("a profile is in the target directory"));
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.status().expect("cargo can be started");
    assert!(built.success(), "the example `{}` cannot be built", host.example);
    profile.join("examples").join(format!("{}{}", host.example, env::consts::EXE_SUFFIX))
}

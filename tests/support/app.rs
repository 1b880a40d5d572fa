//! The example applications, each run as the process that a user would run.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(20);
const LISTENING: &str = "listening on ";

/// A web framework, and the example that shows the shop in it.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The example's name, as in `cargo build --example <name>`.
    pub example: &'static str,
}

/// A running example. It is killed when this is dropped.
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
        let mut process = Process::spawn(host, settings);
        match process.announced_url().await {
            Some(url) => Self { process, url },
            None => panic!("the example `{}` ended at its start:\n{}", host.example, process.end().await.1),
        }
    }

    /// Starts the example with settings that it must refuse: its exit status, and what it printed.
    pub async fn refuse_to_start(host: Host, settings: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut process = Process::spawn(host, settings);
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

#[derive(Debug)]
struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    lines: UnboundedReceiver<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    fn spawn(host: Host, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary(host));
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("REDIS_") || name.starts_with("SESSION_")) {
                command.env_remove(name);
            }
        }
        command.env("PORT", "0").envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the example can be started");

        let output = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = unbounded_channel();
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), Arc::clone(&output), sender.clone()),
            collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&output), sender),
        ];
        Self { child, output, lines, readers }
    }

    /// What the process says that it listens on; `None` if it ended before.
    async fn announced_url(&mut self) -> Option<String> {
        let announced = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(url) = line.strip_prefix(LISTENING) {
                    return Some(url.to_owned());
                }
            }
            None
        };
        let Ok(url) = timeout(WITHIN, announced).await else {
            panic!("the example neither listened nor ended within {WITHIN:?}:\n{}", self.printed());
        };
        url
    }

    /// Waits until the process has ended: its exit status, and what it printed.
    async fn end(mut self) -> (ExitStatus, String) {
        let closed = async { while self.lines.recv().await.is_some() {} };
        assert!(timeout(WITHIN, closed).await.is_ok(), "the example did not end:\n{}", self.printed());
        for reader in self.readers.drain(..) {
            reader.join().expect("reading output does not panic");
        }
        (self.child.wait().expect("the example can be waited for"), self.printed())
    }

    fn kill(&mut self) {
        self.child.kill().expect("the example can be killed");
    }

    fn printed(&self) -> String {
        self.output.lock().expect("nobody panics holding it").clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines until the stream is closed, so that the process never waits for a full pipe.
fn collect(
    stream: impl Read + Send + 'static,
    output: Arc<Mutex<String>>,
    lines: UnboundedSender<String>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|length| length > 0) {
            let line = String::from_utf8_lossy(&bytes).into_owned();
            output.lock().expect("nobody panics holding it").push_str(&line);
            // Nobody listens any more once the example is up.
            let _ = lines.send(line.trim_end().to_owned());
            bytes.clear();
        }
    })
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
        ("memory", cfg!(feature = "memory")),
        ("redis", cfg!(feature = "redis")),
        ("messagepack", cfg!(feature = "messagepack")),
        ("bincode", cfg!(feature = "bincode")),
        ("axum", cfg!(feature = "axum")),
        ("conformance", cfg!(feature = "conformance")),
    ];
    let features: Vec<_> = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    let mut cargo = Command::new(env!("CARGO"));
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

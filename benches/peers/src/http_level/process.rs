//! Servers and the load as processes, and what they use of the processor.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server that listens. It is killed when this is dropped.
pub struct ServerProcess {
    child: Child,
    pub address: SocketAddr,
}

impl ServerProcess {
    /// A server of this program; `mode` says which store and policy it has.
    pub fn rust(name: &str, mode: &str, redis: &str) -> Self {
        let mut command = this_program();
        command.args(["serve", name, mode, redis]);
        Self::start(command)
    }

    /// Express: one process, or a cluster of so many workers.
    pub fn node(mode: &str, workers: u32, redis: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        let installed = folder.join("node_modules").is_dir();
        assert!(installed, "{} has no node_modules: run.sh installs them", folder.display());
        let mut command = Command::new("node");
        command.current_dir(folder).arg("server.js").env("NODE_ENV", "production").env("PORT", "0");
        command.env("MODE", mode).env("WORKERS", workers.to_string()).env("REDIS_URL", redis);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("run.sh installs and builds what is missing");
        let output = child.stdout.take().expect("stdout is piped");
        let address = BufReader::new(output).lines().map_while(Result::ok).find_map(|line| {
            let address = line.strip_prefix("listening on http://")?;
            address.parse().ok()
        });
        let address = address.unwrap_or_else(|| panic!("{command:?} does not listen"));
        Self { child, address }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // A cluster's workers end when their primary is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The load, ready to begin.
pub struct LoadProcess {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl LoadProcess {
    /// Waits until it has signed in and warmed up.
    pub fn ready(order: &str) -> Self {
        let mut command = this_program();
        command.args(["load", order]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program can be started again");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut load = Self { child, output };
        let line = load.line();
        assert_eq!(line.trim(), "ready", "the load failed: {order}");
        load
    }

    /// Lets it begin, and waits for what it reports.
    pub fn report(mut self) -> String {
        // It waits for a line, and the end of its input is one.
        drop(self.child.stdin.take());
        let report = self.line();
        let status = self.child.wait().expect("the load can be waited for");
        assert!(status.success(), "the load failed while it was measured, {status}");
        report
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the load writes text");
        line
    }
}

fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("a program has a path"))
}

/// The processor time that a process and its children took so far, in seconds.
pub fn processor_time(pid: u32) -> f64 {
    // What Linux counts in, on every architecture.
    const TICKS_PER_SECOND: f64 = 100.0;
    let mut ticks = ticks(pid).map_or(0, |stat| stat.own);
    for entry in std::fs::read_dir("/proc").expect("this runs on Linux").flatten() {
        let child = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(self::ticks);
        ticks += child.filter(|child| child.parent == pid).map_or(0, |child| child.own);
    }
    f64::from(ticks) / TICKS_PER_SECOND
}

struct Ticks {
    parent: u32,
    own: u32,
}

/// From `/proc/<pid>/stat`, whose second field may contain anything but a `)` after its end.
fn ticks(pid: u32) -> Option<Ticks> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    Some(Ticks { parent: field(4)?, own: field(14)? + field(15)? })
}

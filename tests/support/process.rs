//! An application as a process: its settings are environment variables, and it says where it listens.

use std::env;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(20);
const LISTENING: &str = "listening on ";

/// It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    lines: UnboundedReceiver<String>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(super) fn spawn(mut command: Command, settings: &[(&str, &str)]) -> Self {
        for (name, _) in env::vars_os() {
            let is_ours =
                |name: &str| ["REDIS_", "SESSION_", "SHOP_"].iter().any(|ours| name.starts_with(ours));
            if name.to_str().is_some_and(is_ours) {
                command.env_remove(name);
            }
        }
        command.env("PORT", "0").envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| {
            panic!(
                "{} cannot be started: {e}; tests/run.sh installs what is missing",
                command.get_program().display()
            )
        });

        let output = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = unbounded_channel();
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), Arc::clone(&output), sender.clone()),
            collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&output), sender),
        ];
        Self { child, output, lines, readers }
    }

    /// What the process says that it listens on; `None` if it ended before.
    pub(super) async fn announced_url(&mut self) -> Option<String> {
        let announced = async {
            while let Some(line) = self.lines.recv().await {
                if let Some(url) = line.strip_prefix(LISTENING) {
                    return Some(url.to_owned());
                }
            }
            None
        };
        let Ok(url) = timeout(WITHIN, announced).await else {
            panic!("the application neither listened nor ended within {WITHIN:?}:\n{}", self.printed());
        };
        url
    }

    /// Waits until the process has ended: its exit status, and what it printed.
    pub(super) async fn end(mut self) -> (ExitStatus, String) {
        let closed = async { while self.lines.recv().await.is_some() {} };
        assert!(timeout(WITHIN, closed).await.is_ok(), "the application did not end:\n{}", self.printed());
        for reader in self.readers.drain(..) {
            reader.join().expect("reading output does not panic");
        }
        (self.child.wait().expect("the application can be waited for"), self.printed())
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().expect("the application can be killed");
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
            // Nobody listens any more once the application is up.
            let _ = lines.send(line.trim_end().to_owned());
            bytes.clear();
        }
    })
}

//! Real `redis-server` processes, one for each test.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use tokio::time::sleep;

const START_WITHIN: Duration = Duration::from_secs(10);

/// A standalone server on a free port of the loopback interface, with a directory of its own and
/// without persistence. It ends, and the directory goes, when this is dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    port: u16,
    directory: PathBuf,
    options: Vec<String>,
}

impl Server {
    /// A server with default settings that answers already.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server` to run. A test that skipped itself would prove nothing.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with options of the command line, such as `&["--requirepass", "secret"]`.
    pub async fn start_with(options: &[&str]) -> Self {
        // Between our asking for a free port and the server's binding it, somebody else may take it.
        for _ in 0..5 {
            let (port, directory) = (free_port(), fresh_directory());
            let options: Vec<_> = options.iter().map(ToString::to_string).collect();
            let process = spawn(port, &directory, &options);
            let mut server = Self { process, port, directory, options };
            if server.ready().await {
                return server;
            }
        }
        panic!("redis-server ends as soon as it is started with {options:?}");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends the process as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server can be waited for");
    }

    /// Starts the server again on the same port, empty unless it was started with persistence.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.port, &self.directory, &self.options);
        assert!(self.ready().await, "redis-server did not come back on port {}", self.port);
    }

    /// Stops the process in its tracks (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// A connection to look behind the store's back with.
    pub async fn client(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("the URL is one");
        client.get_multiplexed_async_connection().await.expect("the server answers")
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "kill {signal} {}", self.pid());
    }

    /// Waits until the server answers; `false` if it ended instead.
    async fn ready(&mut self) -> bool {
        let deadline = Instant::now() + START_WITHIN;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.process.try_wait() {
                return false;
            }
            if self.answers().unwrap_or(false) {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server on port {} did not answer within {START_WITHIN:?}", self.port);
    }

    fn answers(&self) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(START_WITHIN))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 16];
        let length = stream.read(&mut reply)?;
        // A server with a password is ready too; one that is still loading is not.
        Ok(reply[..length].starts_with(b"+PONG") || reply[..length].starts_with(b"-NOAUTH"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What a server has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// How often it read from a connection: once for each round trip, if they follow one another.
    pub reads: u64,
    /// How often each command ran, on a connection or inside a script.
    pub calls: BTreeMap<String, u64>,
}

impl Traffic {
    /// Asks the server; the asking counts too.
    pub async fn of(client: &mut MultiplexedConnection) -> Self {
        let info: String = redis::cmd("INFO").arg("all").query_async(client).await.unwrap();
        let reads = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        let calls = info.lines().filter_map(|line| {
            let (name, stats) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let (calls, _) = stats.split_once(',')?;
            Some((name.to_owned(), calls.parse().ok()?))
        });
        Self { reads: reads.unwrap().parse().unwrap(), calls: calls.collect() }
    }

    /// What was done since `earlier`, without the asking.
    pub fn since(mut self, earlier: &Self) -> Self {
        self.reads -= earlier.reads + 1;
        for (command, calls) in &mut self.calls {
            *calls -= earlier.calls.get(command).unwrap_or(&0);
        }
        self.calls.retain(|command, calls| *calls > 0 && command != "info");
        self
    }
}

fn spawn(port: u16, directory: &PathBuf, options: &[String]) -> Child {
    let spawned = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(directory)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn();
    match spawned {
        Err(e) if e.kind() == ErrorKind::NotFound => panic!(
            "these tests run against a real Redis and there is no `redis-server` on the PATH: \
             install it (Debian: apt-get install redis-server; macOS: brew install redis)"
        ),
        spawned => spawned.expect("redis-server can be started"),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback interface has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn fresh_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("session-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("the temporary directory can be written to");
    directory
}

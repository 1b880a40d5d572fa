//! One `redis-server` process.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::future;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisResult,
};

use super::certificates::Certificates;
use super::place::Place;
use super::wait_until;

/// The variable of the environment that names another program than `redis-server`: Valkey's, or that of
/// another version. It is also what sentinels are.
const PROGRAM: &str = "REDIS_SERVER";
const CONFIGURATION: &str = "redis.conf";
const SOCKET: &str = "socket";
const LOG: &str = "log";

/// A server on a free port of the loopback interface, with a directory of its own and without
/// persistence. It ends, and the directory goes, when this is dropped.
///
/// What the tests themselves ask it goes through a Unix socket in that directory: no TLS and no cut
/// link is in the way there, and no other server can answer instead.
#[derive(Debug)]
pub struct Server {
    program: OsString,
    process: Child,
    place: Place,
    password: Option<String>,
    tls: bool,
    sentinel: bool,
}

impl Server {
    /// A server with default settings that answers already.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with options of the command line, such as `&["--requirepass", "secret"]`.
    pub async fn start_with(options: &[&str]) -> Self {
        let mut server = Self::spawn(Place::take(), None, options);
        server.ready().await;
        server
    }

    /// A server of this program, whatever the environment names.
    pub async fn start_program(program: &OsStr) -> Self {
        let mut server = Self::spawn_program(program.to_owned(), Place::take(), None, &[]);
        server.ready().await;
        server
    }

    /// A server that takes TLS connections only. It asks no client for a certificate unless the options
    /// have `&["--tls-auth-clients", "yes"]`.
    pub async fn start_tls(certificates: &Certificates, options: &[&str]) -> Self {
        let mut server = Self::spawn(Place::take(), Some(certificates), options);
        server.ready().await;
        server
    }

    pub fn port(&self) -> u16 {
        self.place.port()
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `redis://127.0.0.1:PORT`, with TLS `rediss://127.0.0.1:PORT`; never with a password.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "rediss" } else { "redis" }, self.address())
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.directory().join(LOG))
            .expect("the log is in the server's directory")
    }

    /// Ends the process as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill().expect("the server can be killed");
        self.process.wait().expect("the server can be waited for");
    }

    /// Starts the server again on the same port, empty unless it was started with persistence.
    pub async fn restart(&mut self) {
        self.kill();
        self.process = run(&self.program, &self.place, self.sentinel);
        self.ready().await;
    }

    /// Stops the process in its tracks (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// A connection to look behind the store's back with, as the default user.
    pub async fn client(&self) -> MultiplexedConnection {
        self.connect().await.expect("the server answers")
    }

    /// Sends one command, its words separated by spaces, on a connection of its own.
    pub async fn ask<T: FromRedisValue>(&self, command: &str) -> RedisResult<T> {
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        command.arg(words.collect::<Vec<_>>()).query_async(&mut self.connect().await?).await
    }

    /// Whether it compares by itself, by `SET` with `IFEQ`, as Redis does from 8.4 and Valkey from 8.1 on.
    pub async fn sets_if_equal(&self) -> bool {
        let info: String = self.ask("INFO server").await.expect("the server answers");
        let release = |field: &str| {
            let version = info.lines().find_map(|line| line.strip_prefix(field))?;
            let mut numbers =
                version.trim().split('.').map(|number| number.parse::<u32>().expect("a number"));
            Some((numbers.next()?, numbers.next()?))
        };
        match (release("valkey_version:"), release("redict_version:"), release("redis_version:")) {
            (Some(valkey), ..) => valkey >= (8, 1),
            (_, Some(_), _) => false,
            (.., redis) => redis >= Some((8, 4)),
        }
    }

    /// Starts the process, which does not answer yet. It is a sentinel if an option says what to watch.
    pub(super) fn spawn(place: Place, certificates: Option<&Certificates>, options: &[&str]) -> Self {
        Self::spawn_program(program(), place, certificates, options)
    }

    fn spawn_program(
        program: OsString,
        place: Place,
        certificates: Option<&Certificates>,
        options: &[&str],
    ) -> Self {
        let mut configuration = configuration(&place, certificates);
        for option in options {
            match option.strip_prefix("--") {
                Some(name) => write!(configuration, "\n{name}"),
                None => write!(configuration, " \"{option}\""),
            }
            .expect("a string can be written to");
        }
        std::fs::write(place.directory().join(CONFIGURATION), configuration + "\n").expect("it is ours");
        let sentinel = options.contains(&"--sentinel");
        let process = run(&program, &place, sentinel);
        Self {
            program,
            process,
            place,
            sentinel,
            password: password_in(options).map(str::to_owned),
            tls: certificates.is_some(),
        }
    }

    /// Waits until the process answers.
    pub(super) async fn ready(&mut self) {
        let what = format!("redis-server answers on port {}", self.port());
        wait_until(&what, || future::ready(self.is_ready())).await;
    }

    fn is_ready(&mut self) -> bool {
        if let Ok(Some(status)) = self.process.try_wait() {
            self.explain(status);
        }
        self.answers().unwrap_or(false)
    }

    fn answers(&self) -> io::Result<bool> {
        let mut stream = UnixStream::connect(self.place.directory().join(SOCKET))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 16];
        let length = stream.read(&mut reply)?;
        // A server with a password is ready too; one that is still loading is not.
        Ok(reply[..length].starts_with(b"+PONG") || reply[..length].starts_with(b"-NOAUTH"))
    }

    fn explain(&self, status: ExitStatus) -> ! {
        let log = self.log();
        // Redis 8 reads the settings before it looks for what they take.
        if self.tls && (log.contains("Bad directive") || log.contains("Failed finding TLS support")) {
            unsuited("this test is about TLS, and it was built without");
        }
        panic!("{} ended at its start, {status}:\n{log}", self.program.display());
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        let socket = ConnectionAddr::Unix(self.place.directory().join(SOCKET)).into_connection_info()?;
        let client = redis::Client::open(socket.set_redis_settings(login))?;
        // As patient as a busy machine needs: what is measured is the store, not this.
        let patience = Some(Duration::from_secs(10));
        let settings = AsyncConnectionConfig::new();
        let settings = settings.set_connection_timeout(patience).set_response_timeout(patience);
        client.get_multiplexed_async_connection_with_config(&settings).await
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "kill {signal} {}", self.pid());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL ends a frozen process, too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All settings are in a file, where the server itself changes what has to survive a restart: whose
/// replica it is, and what a sentinel learned.
fn configuration(place: &Place, certificates: Option<&Certificates>) -> String {
    let (port, directory) = (place.port(), place.directory().display());
    let transport = match certificates {
        None => format!("port {port}"),
        Some(Certificates { authority, server, .. }) => {
            let [authority, certificate, key] =
                [&authority.certificate, &server.certificate, &server.key].map(|pem| pem.path().display());
            format!(
                "port 0\ntls-port {port}\ntls-ca-cert-file {authority}\ntls-cert-file {certificate}\n\
                 tls-key-file {key}\ntls-auth-clients no\ntls-replication yes"
            )
        }
    };
    // Replicas that come at the same time are synchronised at once through a file, which a server
    // that is started again must not find.
    format!(
        "bind 127.0.0.1\n{transport}\nunixsocket \"{directory}/{SOCKET}\"\ndir \"{directory}\"\n\
         save \"\"\nrepl-diskless-sync no\nrdb-del-sync-files yes"
    )
}

fn program() -> OsString {
    env::var_os(PROGRAM).unwrap_or_else(|| "redis-server".into())
}

/// `CLUSTER ADDSLOTSRANGE`, host names of nodes and `SENTINEL DEBUG` came with Redis 7.0.
pub(super) fn require_topologies() {
    static MAJOR: LazyLock<Option<u32>> = LazyLock::new(|| {
        let said = Command::new(program()).arg("--version").output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        said.split(" v=").nth(1)?.split('.').next()?.parse().ok()
    });
    if MAJOR.is_some_and(|major| major < 7) {
        unsuited("the clusters and sentinels of the tests need Redis 7.0");
    }
}

/// Ends a test that this server cannot serve, in the words that `tests/servers.sh` looks for.
fn unsuited(why: &str) -> ! {
    panic!("not on this server: {why}");
}

fn run(program: &OsStr, place: &Place, sentinel: bool) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(place.directory().join(LOG));
    let log = log.expect("the directory is ours");
    let mut command = Command::new(program);
    command.arg(place.directory().join(CONFIGURATION)).args(sentinel.then_some("--sentinel"));
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file has a duplicate")).stderr(log);
    match command.spawn() {
        Err(e) if e.kind() == ErrorKind::NotFound => panic!(
            "these tests run against a real Redis and there is no `{}` on the PATH: \
             install it (Debian: apt-get install redis-server; macOS: brew install redis)",
            program.display()
        ),
        spawned => spawned.expect("redis-server can be started"),
    }
}

/// The password of the default user.
pub(super) fn password_in<'o>(options: &[&'o str]) -> Option<&'o str> {
    let at = options.iter().rposition(|option| *option == "--requirepass")?;
    options.get(at + 1).copied()
}

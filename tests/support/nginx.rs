//! A reverse proxy as the examples have it.

use std::fs::{self, File};
use std::future;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Site;
use super::redis::{Certificates, Identity, Place, wait_until};

const CONFIGURATION: &str = "nginx.conf";
const LOG: &str = "log";
/// Where the examples listen.
const LISTENING: u16 = 8080;

/// An nginx on a free port of the loopback interface. It ends when this is dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    place: Place,
    url: String,
}

impl Nginx {
    /// Starts it with the `nginx.conf` of this folder of `examples/`. `ports` are pairs of one in that
    /// file, and the one that is to be there instead.
    pub async fn start(example: &str, ports: &[(u16, u16)]) -> Self {
        let place = Place::take();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).join("nginx.conf");
        let shipped = fs::read_to_string(shipped).expect("the example has a configuration");
        let configuration = with_ports(&shipped, &[ports, &[(LISTENING, place.port())]].concat());
        let url = format!("http://127.0.0.1:{}", place.port());
        Self::run(place, url, &configuration).await
    }

    /// Starts it with TLS for these names, which `Certificates` are for. `servers` makes `server` blocks of the
    /// lines that say where they listen and by which certificate.
    pub async fn start_tls(certificates: &Certificates, servers: impl FnOnce(&str) -> String) -> Self {
        let place = Place::take();
        let Identity { certificate, key } = &certificates.server;
        let listen = format!(
            "listen 127.0.0.1:{} ssl;\nssl_certificate {};\nssl_certificate_key {};",
            place.port(),
            certificate.path().display(),
            key.path().display()
        );
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String = paths.map(|name| format!("{name}_temp_path {name};\n")).concat();
        let configuration = format!(
            "events {{}}\nhttp {{\n{}\naccess_log off;\n{paths}}}\ndaemon off;\npid nginx.pid;\nerror_log stderr;\n",
            servers(&listen)
        );
        let url = format!("https://127.0.0.1:{}", place.port());
        Self::run(place, url, &configuration).await
    }

    async fn run(place: Place, url: String, configuration: &str) -> Self {
        fs::write(place.directory().join(CONFIGURATION), configuration).expect("the directory is ours");
        let process = run(place.directory());
        let mut nginx = Self { process, place, url };
        wait_until("nginx listens", || future::ready(nginx.is_ready())).await;
        nginx
    }

    fn is_ready(&mut self) -> bool {
        if let Ok(Some(status)) = self.process.try_wait() {
            let log = fs::read_to_string(self.place.directory().join(LOG)).expect("it is ours");
            panic!("nginx ended at its start, {status}:\n{log}");
        }
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.place.port())).is_ok()
    }
}

impl Site for Nginx {
    fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed outright, it would leave its workers.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn with_ports(configuration: &str, ports: &[(u16, u16)]) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut parts = configuration.split(HOST);
    let before = parts.next().unwrap_or_default().to_owned();
    let replace = |part: &str| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let shipped = &part[..part.len() - rest.len()];
        let pair = ports.iter().find(|(known, _)| known.to_string() == shipped);
        let (_, instead) = pair.unwrap_or_else(|| panic!("the test does not say what is at port {shipped}"));
        format!("{HOST}{instead}{rest}")
    };
    before + &parts.map(replace).collect::<String>()
}

fn run(directory: &Path) -> Child {
    let log = File::create(directory.join(LOG)).expect("the directory is ours");
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(directory).arg("-c").arg(directory.join(CONFIGURATION)).args(["-e", "stderr"]);
    nginx.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    match nginx.spawn() {
        Err(e) if e.kind() == ErrorKind::NotFound => panic!(
            "there is no `nginx` on the PATH: install it (Debian: apt-get install nginx, which puts it into \
             /usr/sbin; macOS: brew install nginx)"
        ),
        spawned => spawned.expect("nginx can be started"),
    }
}

//! The load: browsers with a connection and a session each, in a process and a thread of its own. It
//! parses no more of a response than it needs, so that most of the processor is left to the server.

use std::error::Error;
use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use super::response::{Response, parse};

/// Nothing takes as long as this but a server that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub server: SocketAddr,
    pub path: String,
    pub connections: usize,
    pub warm_up: Duration,
    pub measured: Duration,
    /// Whether each browser gets a session first.
    pub sign_in: bool,
}

impl Order {
    /// As a word of a command line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it has a JSON form")
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Report {
    pub requests: u64,
    pub elapsed: Duration,
    pub p50: Duration,
    pub p99: Duration,
}

/// Signs in on each connection and warms up; says `ready` and waits for a line; then measures, and
/// prints the report as JSON. Any response but 200 is an error.
pub fn run(order: &Order) -> Result<(), Box<dyn Error>> {
    let mut browsers = Browsers::connect(order)?;
    if order.sign_in {
        browsers.set_path("/sign_in");
        browsers.drive(Duration::ZERO)?;
    }
    browsers.set_path(&order.path);
    browsers.drive(order.warm_up)?;
    println!("ready");
    io::stdin().lock().read_line(&mut String::new())?;
    let report = browsers.drive(order.measured)?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

struct Browsers {
    poll: Poll,
    all: Vec<Browser>,
}

impl Browsers {
    fn connect(order: &Order) -> Result<Self, Box<dyn Error>> {
        let poll = Poll::new()?;
        let mut all = Vec::new();
        for number in 0..order.connections {
            // Blocking until it is connected: nothing is measured yet.
            let stream = std::net::TcpStream::connect(order.server)?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            all.push(Browser::new(stream, order.server));
        }
        Ok(Self { poll, all })
    }

    fn set_path(&mut self, path: &str) {
        for browser in &mut self.all {
            path.clone_into(&mut browser.path);
            browser.prepare();
        }
    }

    /// Each browser asks again as soon as it is answered, until the time is up, and once at least.
    fn drive(&mut self, time: Duration) -> Result<Report, Box<dyn Error>> {
        let mut taken = Vec::with_capacity(1 << 16);
        let mut events = Events::with_capacity(self.all.len());
        let start = Instant::now();
        for browser in &mut self.all {
            browser.ask()?;
        }
        let mut waiting = self.all.len();
        while waiting > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(format!("no answer within {PATIENCE:?}").into());
            }
            for event in &events {
                let browser = &mut self.all[event.token().0];
                let Some(asked) = browser.hear()? else { continue };
                let now = Instant::now();
                taken.push(now - asked);
                if now - start < time {
                    browser.ask()?;
                } else {
                    waiting -= 1;
                }
            }
        }
        let elapsed = start.elapsed();
        taken.sort_unstable();
        let (p50, p99) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
        Ok(Report { requests: taken.len() as u64, elapsed, p50, p99 })
    }
}

struct Browser {
    stream: TcpStream,
    host: SocketAddr,
    path: String,
    /// By name; a few at most.
    cookies: Vec<(String, String)>,
    request: Vec<u8>,
    heard: Vec<u8>,
    asked: Option<Instant>,
}

impl Browser {
    fn new(stream: TcpStream, host: SocketAddr) -> Self {
        let (path, cookies, request) = (String::new(), Vec::new(), Vec::new());
        Self { stream, host, path, cookies, request, heard: Vec::new(), asked: None }
    }

    fn prepare(&mut self) {
        let (path, host) = (&self.path, self.host);
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: peers\r\n");
        if !self.cookies.is_empty() {
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = format!("{request}cookie: {}\r\n", cookies.join("; "));
        }
        self.request = (request + "\r\n").into_bytes();
    }

    fn ask(&mut self) -> io::Result<()> {
        self.heard.clear();
        self.asked = Some(Instant::now());
        let written = self.stream.write(&self.request)?;
        // A few hundred bytes always fit, since the one before was answered.
        if written < self.request.len() { Err(ErrorKind::WriteZero.into()) } else { Ok(()) }
    }

    /// Takes in what there is. When it was asked, once the response is complete.
    fn hear(&mut self) -> Result<Option<Instant>, Box<dyn Error>> {
        let mut part = [0; 4096];
        while let Some(asked) = self.asked {
            match self.stream.read(&mut part) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(length) => self.heard.extend_from_slice(&part[..length]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
            let Some(response) = parse(&self.heard) else { continue };
            if response.status != 200 {
                let said = String::from_utf8_lossy(&self.heard);
                return Err(format!("{} was not answered with 200: {said}", self.path).into());
            }
            self.asked = None;
            let cookies = changed(&self.cookies, &response);
            if let Some(cookies) = cookies {
                self.cookies = cookies;
                self.prepare();
            }
            return Ok(Some(asked));
        }
        Ok(None)
    }
}

/// The cookies after the response, if it changed any.
fn changed(cookies: &[(String, String)], response: &Response) -> Option<Vec<(String, String)>> {
    if response.cookies.is_empty() {
        return None;
    }
    let mut after = cookies.to_vec();
    for (name, value) in &response.cookies {
        let kept = after.iter().position(|(known, _)| known == name);
        match (kept, value.is_empty()) {
            (Some(at), true) => drop(after.remove(at)),
            (Some(at), false) => (*value).clone_into(&mut after[at].1),
            (None, true) => {}
            (None, false) => after.push(((*name).to_owned(), (*value).to_owned())),
        }
    }
    (after != cookies).then_some(after)
}

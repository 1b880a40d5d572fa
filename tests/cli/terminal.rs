//! The tool on a terminal.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use session_store::SessionId;

use crate::support::redis::{Server, wait_until};
use crate::tool::{Tool, connect, signed_in};

const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// A terminal, and the tool on it.
struct Terminal {
    master: File,
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    /// With what the tool says to standard error, or without.
    fn run(mut command: Command, has_errors: bool) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().unwrap();
        let slave = || Stdio::from(File::options().read(true).write(true).open(&name).unwrap());
        resize(&master, 80);
        let errors = if has_errors { slave() } else { Stdio::null() };
        command.env("TERM", "xterm").stdout(slave()).stderr(errors);
        let child = command.spawn().expect("the tool can be started");
        // The last ones that hold the other end open, besides the tool.
        drop(command);
        let master = File::from(master);
        let (mut reader, shown) = (master.try_clone().unwrap(), Arc::new(Mutex::new(String::new())));
        let showing = Arc::clone(&shown);
        std::thread::spawn(move || {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                bytes.extend(&buffer[..length]);
                *showing.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
            }
        });
        Self { master, child, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    async fn shows(&self, what: &str, so: impl Fn(&str) -> bool) {
        wait_until(what, || std::future::ready(so(&self.shown()))).await;
    }

    async fn ends(&mut self) -> Option<i32> {
        wait_until("the tool ends", || std::future::ready(matches!(self.child.try_wait(), Ok(Some(_)))))
            .await;
        self.child.wait().unwrap().code()
    }
}

fn resize(terminal: impl AsFd, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_col: columns, ws_row: 24, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// How wide the widest line of the last whole frame is.
fn width(shown: &str) -> Option<usize> {
    let frames: Vec<_> = shown.split(CLEAR).collect();
    let whole = frames.len().checked_sub(2).filter(|last| *last > 0)?;
    frames[whole].lines().map(|line| line.trim_end().chars().count()).max()
}

/// Whichever signal ends it. What is logged meanwhile is not shown across it.
#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_follows_the_window_and_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        watch_through_an_outage(signal).await;
    }
}

async fn watch_through_an_outage(signal: &str) {
    let mut server = Server::start().await;
    let tool = Tool::at(server.url());
    let mut terminal = Terminal::run(tool.command(&["watch", "-i", "0.02"]), true);
    terminal.shows("graphs fill the window", |shown| width(shown) == Some(80)).await;
    terminal.shows("there are rates", |shown| shown.contains("commands/s") && shown.contains('█')).await;
    resize(&terminal.master, 40);
    terminal.shows("it is as narrow as the window", |shown| width(shown) == Some(40)).await;
    server.kill();
    terminal.shows("an outage is shown", |shown| shown.contains("unavailable")).await;
    let kill = Command::new("kill").args([signal, &terminal.child.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    assert_eq!(terminal.ends().await, Some(0));
    terminal.shows("the window is as before", |shown| shown.ends_with(LEAVE)).await;
    assert!(!terminal.shown().contains("lost the connection"), "{}", terminal.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_the_window() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    let owner = "ada".repeat(30);
    signed_in(&store, SessionId::generate(), &owner, "Firefox 日本語 on a very long label").await;
    let tool = Tool::at(server.url());
    for arguments in [&["list"][..], &["list", "-o", &owner], &["stats"], &["watch", "-n", "2"]] {
        let mut terminal = Terminal::run(tool.command(arguments), false);
        assert_eq!(terminal.ends().await, Some(0));
        terminal.shows("a table", |shown| shown.lines().count() >= 2 && shown.ends_with('\n')).await;
        let shown = terminal.shown();
        let fits = |line: &str| console::measure_text_width(line.trim_end()) <= 80;
        assert!(shown.lines().all(fits), "{arguments:?}: {shown}");
    }
    let terminal = Terminal::run(tool.command(&["list"]), false);
    terminal.shows("times are relative", |shown| shown.contains("ago") && shown.contains("in 59m")).await;
    terminal.shows("what is long is cut", |shown| shown.contains("adaadaadaa…  Firefox 日…")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_told_how_far_a_scan_is() {
    let server = Server::start().await;
    let store = connect(&server.url()).await;
    signed_in(&store, SessionId::generate(), "ada", "Laptop").await;
    let tool = Tool::at(server.url());
    for (arguments, words) in [
        (&["revoke-all", "ada", "--thorough"][..], "searching"),
        (&["clear", "--yes"], "ending"),
        (&["list"], "listing"),
    ] {
        let mut terminal = Terminal::run(tool.command(arguments), true);
        assert_eq!(terminal.ends().await, Some(0));
        terminal.shows("a bar", |shown| shown.contains(words) && shown.contains(" 100 %")).await;
    }
}

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::refresh::BACKOFF;
use super::*;
use crate::Topology;
use crate::store::redis::target::Login;

/// The only node of a cluster.
#[derive(Default)]
struct Fake {
    /// What it answers to `CLUSTER SLOTS`.
    slots: Lock<String>,
    port: u16,
    /// What it answers to `GET`.
    got: String,
    asked: AtomicUsize,
    streams: Lock<Vec<TcpStream>>,
    gone: AtomicBool,
}

impl Fake {
    fn start(slots: impl FnOnce(u16) -> String, got: &str) -> (Arc<Self>, Cluster) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let slots = Lock::new(slots(port));
        let fake = Arc::new(Self { slots, port, got: got.to_owned(), ..Self::default() });
        let node = Arc::clone(&fake);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, node) = (stream.unwrap(), Arc::clone(&node));
                if !node.gone.load(Ordering::Acquire) {
                    node.streams.lock().unwrap().push(stream.try_clone().unwrap());
                    thread::spawn(move || node.answer(stream));
                }
            }
        });
        let dialer = Dialer::new(Login::default(), 0, None).unwrap();
        let settings = Settings::new(TIMEOUT, 1, None);
        (fake, Cluster::new(vec![Host { name: "127.0.0.1".to_owned(), port }], dialer, settings))
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut part = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut part) {
            let asked = String::from_utf8_lossy(&part[..length]);
            let answer = if asked.contains("SLOTS") {
                &*self.slots.lock().unwrap()
            } else if asked.contains("\nINFO") {
                self.asked.fetch_add(1, Ordering::AcqRel);
                "$23\r\ncluster_current_epoch:1\r\n"
            } else if asked.contains("GET") {
                &self.got
            } else {
                // To HELLO, and to CLIENT SETINFO twice.
                "%0\r\n+OK\r\n+OK\r\n"
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    }

    /// Closes its connections, and takes no more.
    fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        for stream in &*self.streams.lock().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

const TIMEOUT: Duration = Duration::from_millis(400);

fn all_slots_at(port: u16) -> String {
    format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:{port}\r\n")
}

async fn get(cluster: &Cluster) -> Result<Value, Failure> {
    let operation = async |mut connection: Connection| connection.send(redis::cmd("GET").arg("x")).await;
    cluster.run(0, Durability::Ordinary, Repeat::Read, operation).await
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect(what);
}

#[tokio::test]
async fn a_loss_at_the_end_of_a_refresh_is_not_missed() {
    let (node, cluster) = Fake::start(all_slots_at, "$-1\r\n");
    cluster.connect().await.unwrap();
    cluster.start();
    eventually("it asks", || node.asked.load(Ordering::Acquire) == 2).await;
    node.leave();
    eventually("it is lost", || !cluster.status().connected).await;
    sleep(2 * BACKOFF.first).await;
    assert!(cluster.0.background.is_running(), "until the cluster is whole again");
}

/// As in Kubernetes, where only the name of the seed stays right.
#[tokio::test]
async fn masters_that_are_all_at_new_addresses_are_found_by_the_seeds() {
    let [(old, _), (new, _)] = ["$3\r\nold\r\n", "$3\r\nnew\r\n"].map(|got| Fake::start(all_slots_at, got));
    let (seed, cluster) = Fake::start(|_| all_slots_at(old.port), "");
    cluster.connect().await.unwrap();
    assert_eq!(get(&cluster).await.unwrap(), Value::BulkString("old".into()));
    old.leave();
    eventually("it is lost", || !cluster.status().connected).await;
    sleep(4 * BACKOFF.first).await;
    *seed.slots.lock().unwrap() = all_slots_at(new.port);
    // Nobody has to ask for anything.
    eventually("the new one is found", || cluster.status().connected).await;
    assert_eq!(get(&cluster).await.unwrap(), Value::BulkString("new".into()));
    assert_eq!(cluster.journal().status(Topology::Cluster, cluster.status()).reconnects, 1);
}

/// Of which nothing is known but that another node sends operations there.
#[tokio::test]
async fn nobody_waits_for_a_node_that_is_known_to_be_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let ask = format!("-ASK 0 {}\r\n", silent.local_addr().unwrap());
    let (_node, cluster) = Fake::start(all_slots_at, &ask);
    cluster.connect().await.unwrap();
    for _ in 0..2 {
        assert!(matches!(get(&cluster).await, Err(Failure::NotConnected(_))));
        sleep(TIMEOUT / 2).await;
    }
    let begun = Instant::now();
    assert!(matches!(get(&cluster).await, Err(Failure::NotConnected(_))));
    assert!(begun.elapsed() < TIMEOUT / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_cluster_without_a_master_in_reach_is_not_connected() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (_node, cluster) = Fake::start(|_| all_slots_at(closed), "");
    let error = cluster.connect().await.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{closed}")), "{error}");
    let (_node, cluster) = Fake::start(|_| "*0\r\n".to_owned(), "");
    let error = cluster.connect().await.unwrap_err().to_string();
    assert!(error.contains("knows of no masters"), "{error}");
}

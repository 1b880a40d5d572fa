use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::super::dialer::{Address, Dialer};
use super::super::standalone::Standalone;
use super::*;
use crate::store::background::RuntimeHandle;
use crate::store::redis::failure::Effect;
use crate::store::redis::target::{Host, Login};
use crate::store::status::Topology;

/// Writes to a server that answers `reply` to each `WAIT`, and wait for one replica.
async fn durable(reply: &'static str) -> Durable {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let (mut stream, mut part) = (stream.unwrap(), [0; 1024]);
                while let Ok(length @ 1..) = stream.read(&mut part) {
                    // To HELLO, and to CLIENT SETINFO twice.
                    let is_wait = part[..length].windows(4).any(|word| word == b"WAIT");
                    let reply = if is_wait { reply } else { "%0\r\n+OK\r\n+OK\r\n" };
                    stream.write_all(reply.as_bytes()).unwrap();
                }
            });
        }
    });
    let dialer = Dialer::new(Login::default(), 0, None).unwrap();
    let host = Host { name: "127.0.0.1".to_owned(), port };
    let connector = Arc::new(Standalone::new(Address::Host(host), dialer));
    let (limit, journal) = (Duration::from_secs(10), Arc::<Journal>::default());
    let link = Supervisor::new(connector, limit, Arc::clone(&journal), RuntimeHandle::default());
    link.connect().await.unwrap();
    let replication = Replication { replicas: 1, within: Duration::from_millis(100) };
    Durable::new(link, replication, limit, journal)
}

impl Durable {
    async fn lose_connection(&self) {
        let breakage = async |_: Connection| {
            Err(Failure::Redis(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into()))
        };
        self.link.run(Repeat::Never, breakage).await.unwrap_err();
    }
}

/// The master has the write: to answer that it had no effect would be wrong.
#[track_caller]
fn is_unknown(outcome: Result<Value, Failure>) {
    let error = outcome.unwrap_err().into_error(Effect::Write);
    assert!(error.outcome_unknown() && error.to_string().contains("the master has the write"), "{error:?}");
}

#[tokio::test]
async fn enough_replicas_confirm() {
    let durable = durable(":1\r\n").await;
    assert_eq!(durable.run(async |_| Ok(Value::Okay)).await.unwrap(), Value::Okay);
    assert_eq!(durable.run(async |_| Ok(Value::Int(1))).await.unwrap(), Value::Int(1));
}

/// A server answers a `WAIT` for what was written on the same connection; on another one, at once.
#[tokio::test]
async fn another_connection_confirms_nothing() {
    let durable = durable(":1\r\n").await;
    let write = async |_| {
        durable.lose_connection().await;
        while !durable.link.is_up() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Value::Okay)
    };
    is_unknown(durable.run(write).await);
    assert_eq!(durable.journal.status(Topology::Sentinel, durable.status()).unreplicated, 1);
    durable.run(async |_| Ok(Value::Okay)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_cannot_be_confirmed_is_a_write() {
    let lost = durable(":1\r\n").await;
    let write = async |_| {
        lost.lose_connection().await;
        Ok(Value::Okay)
    };
    is_unknown(lost.run(write).await);
    for refusal in [
        "-ERR WAIT cannot be used with replica instances.\r\n",
        "-UNBLOCKED force unblock from blocking operation\r\n",
        "-NOPERM no permissions to run the 'wait' command\r\n",
        "-READONLY x\r\n",
        ":0\r\n",
    ] {
        is_unknown(durable(refusal).await.run(async |_| Ok(Value::Okay)).await);
    }
}

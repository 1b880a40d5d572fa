use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::super::dialer::{Address, Dialer};
use super::super::standalone::Standalone;
use super::*;
use crate::store::redis::target::{Host, Login};

/// A server that greets whoever connects, and then does as `then` says with the stream.
fn greeter<S: Send + 'static>(then: fn(TcpStream) -> S) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let greet = move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 1024]);
        // To HELLO, and to CLIENT SETINFO twice.
        let _ = stream.write_all(b"%0\r\n+OK\r\n+OK\r\n");
        // To HELLO again, by which it is asked what it can do.
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"%0\r\n");
        then(stream)
    };
    thread::spawn(move || listener.incoming().map(|stream| greet(stream.unwrap())).collect::<Vec<_>>());
    address
}

/// Of a server that greets and is silent from then on.
async fn supervisor(timeout: Duration) -> Supervisor {
    let silent = greeter(|stream| stream);
    let supervisor = supervisor_of(silent, timeout);
    supervisor.connect().await.unwrap();
    supervisor
}

fn supervisor_of(server: SocketAddr, timeout: Duration) -> Supervisor {
    let host = Host { name: server.ip().to_string(), port: server.port() };
    let dialer = Dialer::new(Login::default(), 0, None).unwrap();
    let connector = Standalone::new(Address::Host(host), dialer);
    Supervisor::new(Arc::new(connector), timeout, Arc::default(), RuntimeHandle::default())
}

fn generation(supervisor: &Supervisor) -> Option<u64> {
    match &**supervisor.0.state.load() {
        State::Up(up) => Some(up.generation()),
        State::Down { .. } => None,
    }
}

async fn answer(_: Connection) -> Result<Value, Failure> {
    Ok(Value::Nil)
}

async fn silence(_: Connection) -> Result<Value, Failure> {
    std::future::pending().await
}

async fn breakage(_: Connection) -> Result<Value, Failure> {
    Err(breakage_of("it broke"))
}

fn breakage_of(words: &'static str) -> Failure {
    Failure::Redis(io::Error::new(io::ErrorKind::BrokenPipe, words).into())
}

#[tokio::test]
async fn late_news_of_an_old_connection_leaves_its_successor_alone() {
    let supervisor = supervisor(Duration::from_secs(10)).await;
    assert_eq!(generation(&supervisor), Some(0));
    let late = supervisor.run(Repeat::Never, async |connection| {
        supervisor.run(Repeat::Never, breakage).await.unwrap_err();
        assert_eq!(generation(&supervisor), None);
        while generation(&supervisor).is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        breakage(connection).await
    });
    late.await.unwrap_err();
    assert_eq!(generation(&supervisor), Some(1));
}

#[tokio::test]
async fn only_timeouts_in_a_row_give_a_connection_up() {
    let supervisor = supervisor(Duration::from_millis(100)).await;
    for operation in 0..3 {
        supervisor.run(Repeat::Never, silence).await.unwrap_err();
        supervisor.run(Repeat::Never, silence).await.unwrap_err();
        assert_eq!(generation(&supervisor), Some(0), "operation {operation}");
        supervisor.run(Repeat::Never, answer).await.unwrap();
    }
    for _ in 0..TIMEOUTS_IN_A_ROW {
        assert_eq!(generation(&supervisor), Some(0));
        supervisor.run(Repeat::Never, silence).await.unwrap_err();
    }
    assert_eq!(generation(&supervisor), None);
}

#[tokio::test]
async fn operations_that_callers_give_up_count_if_they_waited_long() {
    let supervisor = supervisor(Duration::from_secs(1)).await;
    let given_up_after = async |millis| {
        let patience = Duration::from_millis(millis);
        assert!(timeout(patience, supervisor.run(Repeat::Never, silence)).await.is_err());
    };
    for _ in 0..2 * TIMEOUTS_IN_A_ROW {
        given_up_after(1).await;
    }
    for _ in 0..TIMEOUTS_IN_A_ROW {
        assert_eq!(generation(&supervisor), Some(0));
        given_up_after(600).await;
    }
    assert_eq!(generation(&supervisor), None);
}

#[test]
fn operations_may_be_dropped_where_there_is_no_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let supervisor = runtime.block_on(supervisor(Duration::from_millis(200)));
    for _ in 0..TIMEOUTS_IN_A_ROW {
        let mut operation = Box::pin(supervisor.run(Repeat::Never, silence));
        runtime.block_on(async { timeout(Duration::from_millis(150), &mut operation).await.unwrap_err() });
        drop(operation);
    }
    assert_eq!(generation(&supervisor), None);
    runtime.block_on(async {
        supervisor.run(Repeat::Never, answer).await.unwrap_err();
        while generation(&supervisor).is_none() {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

#[tokio::test]
async fn a_loss_makes_one_attempt_at_a_time() {
    let supervisor = supervisor(Duration::from_secs(10)).await;
    let all_break_together = async |connection| {
        sleep(Duration::from_millis(20)).await;
        breakage(connection).await
    };
    for result in join_all((0..100).map(|_| supervisor.run(Repeat::Never, all_break_together))).await {
        result.unwrap_err();
    }
    supervisor.run(Repeat::Never, answer).await.unwrap();
    // Rivals would have had their turn.
    sleep(2 * BACKOFF.first).await;
    assert_eq!(supervisor.0.generations.load(Ordering::Relaxed), 2, "the first connection and one more");
}

/// A proxy without a server behind it accepts connections, and closes them.
#[tokio::test]
async fn nobody_waits_for_a_server_that_closes_whatever_it_accepts() {
    let (limit, supervisor) =
        (Duration::from_secs(10), supervisor_of(greeter(drop), Duration::from_secs(10)));
    let begun = Instant::now();
    supervisor
        .run(Repeat::Read, async |mut connection| connection.send(&redis::cmd("PING")).await)
        .await
        .unwrap_err();
    assert!(begun.elapsed() < limit / 2, "it waited {:?}", begun.elapsed());
    let begun = Instant::now();
    supervisor.run(Repeat::Read, answer).await.unwrap_err();
    assert!(begun.elapsed() < limit / 100, "it waited {:?}", begun.elapsed());
}

#[tokio::test]
async fn so_many_operations_wait_and_no_more() {
    // It lets connections in, and does not greet.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let supervisor = supervisor_of(silent.local_addr().unwrap(), Duration::from_secs(1));
    let begun = Instant::now();
    let run = || async { (supervisor.run(Repeat::Read, answer).await.unwrap_err(), begun.elapsed()) };
    let failures = join_all((0..waiting::MOST + 10).map(|_| run())).await;
    let refused =
        failures.iter().filter(|(failure, _)| failure.to_string().contains("waiting for a connection"));
    assert_eq!(refused.count(), 10);
    assert!(failures.iter().all(|(_, waited)| *waited < Duration::from_secs(5)));
    // Who waited in vain found out for the others.
    let begun = Instant::now();
    supervisor.run(Repeat::Read, answer).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(100));
}

/// Sent on a connection that breaks, an operation is run again, or fails as it did, by its [`Repeat`].
#[tokio::test]
async fn what_was_sent_is_sent_again_only_where_that_is_safe() {
    let okay = |reply: &Value| *reply == Value::Okay;
    let broken = || breakage_of("first");
    for (repeat, second, expected) in [
        (Repeat::Never, Ok(Value::Okay), Err("first")),
        (Repeat::Read, Ok(Value::Nil), Ok(Value::Nil)),
        (Repeat::Write, Ok(Value::Nil), Ok(Value::Nil)),
        (Repeat::If(&okay), Ok(Value::Okay), Ok(Value::Okay)),
        (Repeat::If(&okay), Ok(Value::Nil), Err("first")),
        (Repeat::Read, Err(Failure::NotConnected("second".to_owned())), Err("second")),
        (Repeat::Write, Err(Failure::NotConnected("second".to_owned())), Err("first")),
        (Repeat::If(&okay), Err(Failure::NotConnected("second".to_owned())), Err("first")),
    ] {
        let supervisor = supervisor(Duration::from_secs(10)).await;
        let (runs, second) = (AtomicU32::new(0), std::sync::Mutex::new(Some(second)));
        let result = supervisor.run(repeat, async |connection: Connection| {
            assert_eq!(connection.is_again(), runs.load(Ordering::Relaxed) > 0);
            match runs.fetch_add(1, Ordering::Relaxed) {
                0 => Err(broken()),
                _ => second.lock().unwrap().take().unwrap(),
            }
        });
        match (result.await, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected),
            (Err(failure), Err(expected)) => assert!(failure.to_string().contains(expected), "{failure}"),
            (result, _) => panic!("{result:?}"),
        }
    }
}

/// News of a connection's end may overtake the connection itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_at_once_is_not_taken_for_a_live_one() {
    let closing = greeter(drop);
    for _ in 0..20 {
        let supervisor = supervisor_of(closing, Duration::from_secs(10));
        if supervisor.connect().await.is_err() {
            continue;
        }
        let attempts = || supervisor.0.generations.load(Ordering::Relaxed);
        // Nobody asks for anything, and it goes on trying all the same.
        let goes_on = async {
            while attempts() < 3 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(timeout(Duration::from_secs(10), goes_on).await.is_ok(), "{supervisor:?}");
    }
}

/// A server that accepts connections and is of no use is tried ever less often.
#[tokio::test]
async fn delays_grow_over_connections_that_end_soon() {
    let supervisor = supervisor(Duration::from_secs(10)).await;
    let delays = async |count: usize| {
        let mut delays = Vec::new();
        for _ in 0..count {
            let State::Up(up) = &**supervisor.0.state.load() else { unreachable!("it was connected") };
            delays.push(up.next_delay());
            supervisor.run(Repeat::Never, breakage).await.unwrap_err();
            while generation(&supervisor).is_none() {
                sleep(Duration::from_millis(1)).await;
            }
        }
        delays
    };
    let millis = |delays: Vec<Duration>| delays.iter().map(Duration::as_millis).collect::<Vec<_>>();
    assert_eq!(millis(delays(4).await), [50, 100, 200, 400]);
}

/// Of a server that is away: its port is closed.
async fn supervisor_of_nobody() -> Supervisor {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let supervisor = supervisor_of(closed, Duration::from_secs(1));
    supervisor.run(Repeat::Read, answer).await.unwrap_err();
    supervisor
}

#[tokio::test]
async fn each_knock_waits_for_an_attempt_of_its_own_time_and_all_of_a_time_for_the_same() {
    let supervisor = supervisor_of_nobody().await;
    let attempts = || supervisor.0.generations.load(Ordering::Relaxed);
    for _ in 0..5 {
        let before = attempts();
        supervisor.knock().await;
        assert!(attempts() > before);
    }
    let before = attempts();
    join_all((0..1000).map(|_| supervisor.knock())).await;
    assert!(attempts() <= before + 2, "{} attempts", attempts() - before);
}

#[tokio::test]
async fn a_knock_at_a_server_that_is_there_or_may_be_costs_nothing() {
    let supervisor = supervisor(Duration::from_secs(1)).await;
    supervisor.knock().await;
    supervisor.0.go_down(0, &"for this test", false);
    supervisor.knock().await;
    assert_eq!(supervisor.0.generations.load(Ordering::Relaxed), 1);
}

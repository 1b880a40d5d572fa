//! Three instances behind nginx, as `examples/several_instances` has them, with visitors who go on
//! while one instance is killed and another is restarted.
//!
//! `cargo test --all-features --test several_instances -- --nocapture` prints what happened.

#![cfg(all(feature = "axum", feature = "memory", feature = "redis"))]

#[allow(dead_code)]
#[path = "http/visitor.rs"]
mod visitor;

mod support;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::app::{App, Host};
use support::nginx::Nginx;
use support::redis::{Place, Server, wait_until};
use tokio::task::JoinSet;
use tokio::time::sleep;
use visitor::{Answer, Visitor};

const AXUM: Host = Host { example: "axum" };
const SECRET: &str = "only-for-tests-oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x";
/// As in the example's `nginx.conf`.
const SHIPPED: [u16; 3] = [3001, 3002, 3003];
const VISITORS: usize = 24;
/// From one event to the next.
const CALM: Duration = Duration::from_secs(1);

/// An instance whose port is nobody else's while it is down.
struct Instance {
    place: Place,
    app: Option<App>,
}

impl Instance {
    async fn start(redis: &Server) -> Self {
        let mut instance = Self { place: Place::take(), app: None };
        instance.start_again(redis).await;
        instance
    }

    async fn start_again(&mut self, redis: &Server) {
        let (port, url) = (self.place.port().to_string(), redis.url());
        let settings = [
            ("PORT", &*port),
            ("REDIS_URL", &url),
            ("SESSION_SECRET", SECRET),
            ("SESSION_COOKIE_SECURE", "false"),
        ];
        self.app = Some(App::start(AXUM, &settings).await);
    }

    /// Ends the process by SIGKILL, and answers between which moments that happened.
    fn kill(&mut self) -> RangeInclusive<Instant> {
        let before = Instant::now();
        self.app = None;
        before..=Instant::now()
    }
}

/// A request that was not answered by 200.
#[derive(Debug)]
struct Failure {
    path: &'static str,
    status: u16,
    sent: Instant,
    answered: Instant,
}

/// Somebody who buys and looks, one request after the other.
struct Customer {
    name: String,
    browser: Visitor,
    /// What was acknowledged.
    bought: Vec<String>,
    /// What was answered by an error, and may or may not be in the cart.
    unsure: BTreeSet<String>,
    requests: usize,
    failures: Vec<Failure>,
}

impl Customer {
    async fn arrive(number: usize, nginx: &Nginx) -> Self {
        let (name, mut browser) = (format!("visitor {number}"), Visitor::new(nginx));
        browser.sign_in(&name).await.expect_status(200);
        Self { name, browser, bought: vec![], unsure: BTreeSet::new(), requests: 1, failures: vec![] }
    }

    async fn step(&mut self) {
        let sent = Instant::now();
        match self.requests % 3 {
            0 => {
                let item = format!("item {}", self.requests);
                let answer = self.browser.buy(&item).await;
                if self.note("/cart", sent, &answer) {
                    self.bought.push(item);
                } else {
                    self.unsure.insert(item);
                }
            }
            1 => {
                let answer = self.browser.visit().await;
                self.note("/", sent, &answer);
            }
            _ => {
                let answer = self.browser.get("/me").await;
                if self.note("/me", sent, &answer) {
                    self.expect_all_kept(&answer);
                }
            }
        }
    }

    fn note(&mut self, path: &'static str, sent: Instant, answer: &Answer) -> bool {
        self.requests += 1;
        let (status, answered) = (answer.status, Instant::now());
        if status != 200 {
            self.failures.push(Failure { path, status, sent, answered });
        }
        status == 200
    }

    /// What was acknowledged is there, once and in its order.
    fn expect_all_kept(&self, answer: &Answer) {
        let me = answer.me();
        assert_eq!(me.user.as_deref(), Some(&*self.name));
        let sure: Vec<_> = me.cart.into_iter().filter(|item| !self.unsure.contains(item)).collect();
        assert_eq!(sure, self.bought, "{}", self.name);
    }
}

/// The customers go on until `done`.
fn open(customers: Vec<Customer>, done: &Arc<AtomicBool>) -> JoinSet<Customer> {
    let mut shopping = JoinSet::new();
    for mut customer in customers {
        let done = Arc::clone(done);
        shopping.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                customer.step().await;
                sleep(Duration::from_millis(5)).await;
            }
            customer
        });
    }
    shopping
}

/// Waits until nginx passes requests to the instance.
async fn serves(instance: &Instance, nginx: &Nginx) {
    let address = format!("127.0.0.1:{}", instance.place.port());
    let visitor = Visitor::new(nginx);
    wait_until("the instance serves", || async {
        let answer = visitor.clone().get("/me").await;
        answer.header("x-upstream") == Some(&*address)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_out_and_nothing_is_lost_while_instances_go_and_come() {
    let redis = Server::start().await;
    let mut instances = vec![];
    for _ in SHIPPED {
        instances.push(Instance::start(&redis).await);
    }
    let ports: Vec<_> =
        SHIPPED.iter().zip(&instances).map(|(shipped, instance)| (*shipped, instance.place.port())).collect();
    let nginx = Nginx::start("several_instances", &ports).await;
    for instance in &instances {
        serves(instance, &nginx).await;
    }

    let mut customers = vec![];
    for number in 0..VISITORS {
        customers.push(Customer::arrive(number, &nginx).await);
    }
    let done = Arc::new(AtomicBool::new(false));
    let shopping = open(customers, &done);
    sleep(CALM).await;

    let one_is_killed = instances[0].kill();
    sleep(CALM).await;
    let another_is_restarted = instances[1].kill();
    instances[1].start_again(&redis).await;
    serves(&instances[1], &nginx).await;
    sleep(CALM).await;

    done.store(true, Ordering::Relaxed);
    let (mut requests, mut bought, mut failures) = (0, 0, vec![]);
    for mut customer in shopping.join_all().await {
        let me = customer.browser.get("/me").await;
        customer.expect_all_kept(&me);
        requests += customer.requests;
        bought += customer.bought.len();
        failures.append(&mut customer.failures);
    }
    println!("{requests} requests, {bought} items bought, {} requests failed", failures.len());
    assert!(bought > VISITORS);
    for failure in &failures {
        let was_in_flight = [&one_is_killed, &another_is_restarted]
            .iter()
            .any(|killed| failure.sent <= *killed.end() && *killed.start() <= failure.answered);
        assert!(failure.path == "/cart" && failure.status == 502 && was_in_flight, "{failure:?}");
    }
}

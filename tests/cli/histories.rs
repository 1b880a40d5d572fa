//! What happened to an owner's sessions, and to all of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use session_store::{
    Clock as _, ExpressLayout, HistoryBounds, KeyRing, ManualClock, RedisLayout, RedisStore,
    RedisStoreBuilder, SessionCookie, SessionManager, SystemClock, Timestamp, Values,
};

use crate::support::redis::{Cluster, Server};
use crate::tool::Tool;

const HOUR: Duration = Duration::from_secs(3600);

/// A service whose clock is set.
pub(crate) struct Service {
    pub(crate) manager: SessionManager<Values>,
    clock: Arc<ManualClock>,
}

impl Service {
    /// It is as many hours ago.
    pub(crate) async fn hours_ago(hours: u64, builder: RedisStoreBuilder, keys: KeyRing) -> Self {
        let store = builder.timeout(Duration::from_secs(5)).connect().await.unwrap();
        let millis = SystemClock.now().as_millis() - hours * 3_600_000;
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(millis)));
        let builder = SessionManager::builder(store, keys).history(HistoryBounds::default());
        Self { manager: builder.clock(Arc::clone(&clock)).build().unwrap(), clock }
    }

    /// Answers the cookie.
    pub(crate) async fn sign_in(&self, owner: &str, device: &str) -> String {
        let request = self.manager.begin(None);
        let session = request.session().await.unwrap();
        session.sign_in(owner, |_| ()).unwrap();
        session.set_label(device).unwrap();
        let cookie = request.finish(200).await.set_cookie.unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(crate) async fn sign_out(&self, cookie: &str) {
        self.manager.begin(Some(cookie)).session().await.unwrap().destroy().await.unwrap();
    }

    async fn renew(&self, cookie: &str) -> String {
        let request = self.manager.begin(Some(cookie));
        request.session().await.unwrap().renew().unwrap();
        let cookie = request.finish(200).await.set_cookie.unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

/// Ada signs in on two devices, signs out on one, and is signed out everywhere; so is bob. Answers the cookies.
async fn a_day(service: &Service) -> Vec<String> {
    let phone = service.sign_in("ada", "Safari on iPhone").await;
    service.clock.advance(HOUR);
    let renewed = service.renew(&phone).await;
    let laptop = service.sign_in("ada", "Firefox on Linux").await;
    service.clock.advance(HOUR);
    service.sign_out(&renewed).await;
    service.clock.advance(HOUR);
    let again = service.sign_in("ada", "Firefox on Linux").await;
    let bob = service.sign_in("bob", "Firefox on Linux").await;
    service.clock.advance(HOUR);
    service.manager.revoke_all("ada").await.unwrap();
    service.manager.flush_events().await;
    vec![phone, renewed, laptop, again, bob]
}

pub(crate) fn hidden(cookies: &[String]) -> Vec<String> {
    // What follows the lineage, and no key has.
    cookies.iter().map(|cookie| cookie.split_once('=').unwrap().1[4..32].to_owned()).collect()
}

pub(crate) fn column(lines: &[Value], name: &str) -> Vec<String> {
    lines.iter().map(|line| line[name].as_str().unwrap_or("-").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_an_owner_says_what_ended_each_sign_in() {
    let server = Server::start().await;
    let service = Service::hours_ago(5, RedisStore::builder(server.url()), KeyRing::generate()).await;
    let cookies = a_day(&service).await;
    let tool = Tool::at(server.url()).hiding(hidden(&cookies));

    let lines = tool.run(&["history", "ada", "--json"]).lines();
    assert_eq!(
        column(&lines, "what"),
        ["revoked", "revoked", "signedIn", "signedOut", "signedIn", "signedIn"]
    );
    let labels = column(&lines, "label");
    assert_eq!(labels[2..], ["Firefox on Linux", "Safari on iPhone", "Firefox on Linux", "Safari on iPhone"]);
    assert_eq!(labels[..2], ["Firefox on Linux", "Firefox on Linux"], "as their sign-ins have it");
    assert_eq!(lines[3]["began"], lines[5]["at"]);
    assert!(lines.iter().all(|line| line["at"].as_str().is_some_and(|at| at.ends_with('Z'))), "{lines:?}");

    let said = tool.run(&["history", "ada"]);
    let rows: Vec<Vec<_>> =
        said.out.lines().map(|line| line.split("  ").filter(|it| !it.is_empty()).collect()).collect();
    assert_eq!(rows[0].iter().map(|it| it.trim()).collect::<Vec<_>>(), ["WHEN", "WHAT", "DEVICE", "SESSION"]);
    let session = |row: usize| rows[row].last().unwrap().trim();
    assert_eq!(session(4), session(6), "the sign-in and the logout of one session: {}", said.out);
    assert_ne!(session(5), session(6));
    assert_eq!((rows[1][0].trim(), rows[1][1].trim()), ("60m ago", "revoked"), "{}", said.out);
    let wide = tool.run(&["history", "ada", "--wide"]);
    assert!(wide.out.lines().next().unwrap().ends_with("BEGAN"), "{}", wide.out);

    let nobody = tool.run(&["history", "carl"]);
    nobody.has(0, "there is no history of this owner");
    assert_eq!(nobody.out, "");
    tool.run(&["history", ""]).has(2, "empty");
    service.manager.forget("ada").await.unwrap();
    tool.run(&["history", "ada"]).has(0, "no history");
    assert_eq!(tool.run(&["history", "bob", "-j"]).lines().len(), 1);
}

async fn reports(service: &Service, tool: &Tool) {
    a_day(service).await;
    let report = tool.json(&["report", "--since", "2d"]);
    let expected = json!({ "signedOut": 1, "replaced": 0, "revoked": 2, "evicted": 0, "expired": 0 });
    assert_eq!((&report["owners"], &report["signedIn"], &report["ends"]), (&json!(2), &json!(4), &expected));
    let lengths = json!({ "count": 3, "p50Seconds": 7200, "p90Seconds": 10_800 });
    assert_eq!(report["sessionDurations"], lengths);
    let devices = ["newDevices", "returningDevices", "unnamedDevices"].map(|name| &report[name]);
    assert_eq!(devices, [&json!(3), &json!(1), &json!(0)]);
    let days = report["days"].as_array().unwrap();
    assert!((3..=4).contains(&days.len()), "{days:?}");
    let signed_in: u64 = days.iter().map(|day| day["signedIn"].as_u64().unwrap()).sum();
    assert_eq!(signed_in, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_sums_up_all_histories() {
    let server = Server::start().await;
    let service = Service::hours_ago(5, RedisStore::builder(server.url()), KeyRing::generate()).await;
    let tool = Tool::at(server.url());
    tool.run(&["report"]).has(0, "sign-ins         0");
    reports(&service, &tool).await;

    let said = tool.run(&["report", "--since", "7d"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for words in [
        "owners           2",
        "sign-ins         4",
        "ends             1 signed out, 2 revoked",
        "sessions lasted  2h (half of them at most), 3h (90 %)",
        "devices          3 new, 1 returning",
        "DAY            SIGN-INS  SIGNED OUT  REPLACED   REVOKED   EVICTED     EXPIRED",
    ] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    assert!(said.out.lines().all(|line| line.chars().count() <= 80), "{}", said.out);
    // The last 90 minutes saw one revocation of two sessions, and nothing else.
    let last = tool.json(&["report", "--since", "90m"]);
    assert_eq!(
        (&last["owners"], &last["signedIn"], &last["ends"]["revoked"]),
        (&json!(1), &json!(0), &json!(2))
    );
    assert_eq!(last["sessionDurations"]["count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_of_all_nodes_of_a_cluster() {
    let cluster = Cluster::start().await;
    let service = Service::hours_ago(5, RedisStore::builder(cluster.url()), KeyRing::generate()).await;
    reports(&service, &Tool::at(cluster.url())).await;
    for owner in 0..40 {
        service.sign_in(&owner.to_string(), "a phone").await;
    }
    service.manager.flush_events().await;
    assert_eq!(Tool::at(cluster.url()).json(&["report"])["owners"], 42);
}

/// The layouts of Express tell no part of an id.
#[tokio::test(flavor = "multi_thread")]
async fn histories_of_express_sessions_are_read_too() {
    let server = Server::start().await;
    let layout = || ExpressLayout::new(SessionCookie::new().name("connect.sid"));
    let keys = || KeyRing::express("keyboard cat").unwrap();
    let builder = || RedisStore::builder(server.url());
    let service = Service::hours_ago(5, builder().layout(RedisLayout::express(layout())), keys()).await;
    let cookie = service.sign_in("ada", "Firefox on Linux").await;
    service.sign_out(&cookie).await;
    service.manager.flush_events().await;
    let tool = Tool::at(server.url()).set("SESSION_LAYOUT", "express");
    let lines = tool.run(&["history", "ada", "-j"]).lines();
    assert_eq!(column(&lines, "what"), ["signedOut", "signedIn"]);
    assert!(column(&lines, "session").iter().all(|name| name.starts_with(':')), "{lines:?}");
    // While it moves, each history is counted once.
    let builder = builder().layout(RedisLayout::move_to_native(layout()));
    let moving = Service::hours_ago(4, builder, keys()).await;
    moving.sign_in("ada", "Safari on iPhone").await;
    moving.manager.flush_events().await;
    let tool = Tool::at(server.url()).set("SESSION_LAYOUT", "move-to-native");
    assert_eq!(tool.run(&["history", "ada", "-j"]).lines().len(), 3);
    let report = tool.json(&["report"]);
    assert_eq!((&report["owners"], &report["signedIn"]), (&json!(1), &json!(2)));
}

//! One session on both sides of a migration, as a browser sees it.

use serde_json::{Value, json};

use super::shared;
use crate::support::app::App;
use crate::support::browser;
use crate::support::nginx::Nginx;
use crate::support::redis::Server;

fn port(app: &App) -> u16 {
    app.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL ends with its port")
}

/// The cookie, which nothing but the browser and the services may know.
#[track_caller]
fn cookie(seen: &Value) -> &str {
    assert_eq!(seen["seen_by_scripts"], "", "{seen}");
    let [cookie] = &seen["cookies"].as_array().unwrap()[..] else { panic!("not one cookie: {seen}") };
    let attributes = ["name", "httpOnly", "sameSite", "path"].map(|name| &cookie[name]);
    assert_eq!(attributes, [&json!("connect.sid"), &json!(true), &json!("Lax"), &json!("/")]);
    cookie["value"].as_str().unwrap()
}

#[track_caller]
fn expect(seen: &Value, greeting: &str, visits: u32, cart: &[&str]) {
    let page = ["greeting", "visits", "cart"].map(|name| &seen[name]);
    assert_eq!(page, [&json!(greeting), &json!(visits), &json!(cart)], "{seen}");
}

fn expect_both(told: &Value, user: Option<&str>, visits: u32, cart: &[&str]) {
    for service in ["node", "rust"] {
        let me = ["user", "visits", "cart"].map(|name| &told[service][name]);
        assert_eq!(me, [&json!(user), &json!(visits), &json!(cart)], "{service}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_crosses_between_the_services_and_stays_signed_in() {
    let redis = Server::start().await;
    let (node, rust) = shared::both(&redis, &[("SESSION_TTL", "3600")]).await;
    let nginx = Nginx::start("express_migration", &[(3001, port(&node)), (3002, port(&rust))]).await;
    let seen = browser::cross(&nginx).await;
    expect(&seen["arrived"], "Hello, stranger", 1, &[]);
    expect(&seen["signed_in"], "Hello, ada", 2, &[]);
    expect(&seen["in_rust"], "Hello, ada", 3, &[]);
    expect(&seen["bought"], "Hello, ada", 6, &["tea", "cake"]);
    expect(&seen["reloaded_in_node"], "Hello, ada", 8, &["tea", "cake"]);
    expect(&seen["reloaded_in_rust"], "Hello, ada", 10, &["tea", "cake"]);
    expect_both(&seen["told"], Some("ada"), 10, &["tea", "cake"]);
    assert_ne!(cookie(&seen["arrived"]), cookie(&seen["signed_in"]), "a sign-in renews the id");
    for later in ["in_rust", "bought", "reloaded_in_node", "reloaded_in_rust"] {
        assert_eq!(cookie(&seen["signed_in"]), cookie(&seen[later]), "{later}");
    }

    expect(&seen["signed_out"], "Hello, stranger", 1, &[]);
    expect(&seen["signed_out_in_rust"], "Hello, stranger", 2, &[]);
    expect_both(&seen["told_with_the_old_cookie"], None, 0, &[]);

    expect(&seen["signed_in_by_rust"], "Hello, bob", 1, &[]);
    expect(&seen["signed_out_by_rust"], "Hello, stranger", 1, &[]);
}

//! SECURITY 29 in a real browser: two hosts over TLS, one of which sets cookies for the other.

#![cfg(all(feature = "memory", feature = "redis", feature = "axum"))]

mod support;

use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};
use support::Site as _;
use support::app::{App, Host};
use support::browser;
use support::nginx::Nginx;
use support::redis::Certificates;

/// The attacker's own session: signed by the service, and alive.
async fn attackers_cookie(app: &App) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let login = client.post(format!("{}/login", app.url())).json(&json!({ "user": "eve" }));
    let answer = login.send().await.unwrap();
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let me = client.get(format!("{}/me", app.url())).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(me.json::<Value>().await.unwrap()["user"], "eve");
    cookie
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_on_a_sibling_subdomain_cannot_put_anybody_into_another_session() {
    let app = App::start(Host { example: "axum" }, &[]).await;
    let certificates = Certificates::for_names("DNS:shop.test,DNS:*.shop.test");
    let nginx = Nginx::start_tls(&certificates, |listen| {
        let app = app.url();
        format!(
            "server {{ {listen} server_name shop.test; location / {{ proxy_pass {app}; }} }}\n\
             server {{ {listen} server_name evil.shop.test; default_type text/html;\n\
             location / {{ return 200 '<!doctype html><title>evil</title>'; }} }}"
        )
    })
    .await;
    let port = nginx.url().rsplit(':').next().unwrap().parse().unwrap();
    let planted = attackers_cookie(&app).await;
    let name = planted.split('=').next().unwrap();
    assert_eq!(name, "__Host-Http-id");

    let seen = browser::plant(port, &planted).await;
    assert_eq!((&seen["signed_in"], &seen["own"]), (&json!("ada"), &json!([name])), "{seen}");
    let attempts = seen["attempts"].as_array().unwrap();
    for attempt in attempts {
        assert_eq!(attempt["user"], "ada", "{attempt}");
        let sent = attempt["names"].as_array().unwrap();
        assert_eq!(sent.iter().filter(|sent| *sent == name).count(), 1, "{attempt}");
    }
    // The browser does take most of them, and sends them along.
    let taken = attempts.iter().filter(|attempt| attempt["names"].as_array().unwrap().len() == 2).count();
    assert!(taken >= 6, "{seen}");
    assert_eq!(seen["after_a_script"], json!({ "names": [name], "user": "ada" }), "{seen}");
}

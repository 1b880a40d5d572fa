//! The example's account page, over HTTP.

use reqwest::header::{COOKIE, SET_COOKIE, USER_AGENT};
use reqwest::{Client, StatusCode, redirect::Policy};

use crate::support::app::{App, Host};
use crate::support::redis::{Server, wait_until};

struct Device {
    client: Client,
    url: String,
    agent: &'static str,
    cookie: String,
}

impl Device {
    async fn signed_in(app: &App, user: &str, agent: &'static str) -> Self {
        let client = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        let mut device = Self { client, url: app.url().to_owned(), agent, cookie: String::new() };
        device.post("/login", &[("user", user)]).await;
        device
    }

    async fn page(&self) -> String {
        let page = self.client.get(&self.url).header(COOKIE, &self.cookie).send().await.unwrap();
        page.text().await.unwrap()
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> StatusCode {
        let request = self.client.post(format!("{}{path}", self.url)).form(form);
        let request = request.header(COOKIE, &self.cookie).header(USER_AGENT, self.agent);
        let response = request.send().await.unwrap();
        if let Some(cookie) = response.headers().get(SET_COOKIE) {
            cookie.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        response.status()
    }

    /// What its open page is told next.
    async fn event(&self) -> String {
        let events = self.client.get(format!("{}/events", self.url)).header(COOKIE, &self.cookie);
        // It ends with the session.
        events.send().await.unwrap().text().await.unwrap()
    }

    async fn is_signed_in(&self) -> bool {
        self.page().await.contains("<body class=\"member\">")
    }
}

/// The keys that a page has buttons for.
fn keys(page: &str) -> Vec<&str> {
    page.split("name=\"device\" value=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// SECURITY 13 and 14.
#[tokio::test(flavor = "multi_thread")]
async fn users_see_and_end_their_sessions() {
    let server = Server::start().await;
    let settings = [
        ("REDIS_URL", &*server.url()),
        ("SESSION_SECRET", "oGCmMcXRPzbF9Qd1Ckm7UO4u9UmDSPlDmIrKHq5x"),
        ("SESSION_COOKIE_SECURE", "false"),
    ];
    let app = App::start(Host { example: "devices" }, &settings).await;
    let mut laptop = Device::signed_in(
        &app,
        "ada",
        "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    )
    .await;
    let phone = Device::signed_in(&app, "ada", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15").await;
    let tablet = Device::signed_in(&app, "ada", "Chrome").await;
    let mut mallory = Device::signed_in(&app, "mallory", "curl").await;

    let page = laptop.page().await;
    assert!(
        page.contains("Firefox on Linux<td><span class=\"badge\">this device") && page.contains("Safari"),
        "{page}"
    );
    assert!(!page.contains("curl"));
    let [tablets, phones] = keys(&page)[..] else { panic!("two others: {page}") };

    assert_eq!(mallory.post("/end", &[("device", phones)]).await, StatusCode::NOT_FOUND);
    assert!(phone.is_signed_in().await);
    let (told, _) = tokio::join!(phone.event(), async {
        // Its page is open by then.
        wait_until("the server is to tell", || async {
            let list: String = server.ask("CLIENT LIST").await.unwrap();
            list.contains("flags=tB")
        })
        .await;
        laptop.post("/end", &[("device", phones)]).await
    });
    assert!(told.contains("event: ended") && told.contains("data: You were signed out."), "{told}");
    assert!(!phone.is_signed_in().await && tablet.is_signed_in().await);
    assert_eq!(laptop.post("/end", &[("device", phones)]).await, StatusCode::NOT_FOUND, "it is gone");
    assert!(!tablets.is_empty());
    laptop.post("/sign-out-others", &[]).await;
    assert!(!tablet.is_signed_in().await && laptop.is_signed_in().await && mallory.is_signed_in().await);

    for _ in 0..5 {
        Device::signed_in(&app, "ada", "another").await;
    }
    assert!(!laptop.is_signed_in().await, "five sessions, of which it was the oldest");
    laptop.post("/logout", &[]).await;
}

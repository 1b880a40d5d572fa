//! Whoever uses the shop: a browser with room for one cookie, and its answers.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::Site;

/// A browser that keeps the last cookie it was given. Its clones are tabs that go their own ways.
#[derive(Clone)]
pub(crate) struct Visitor {
    client: Client,
    url: String,
    cookie: Option<String>,
}

impl Visitor {
    pub(crate) fn new(site: &impl Site) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build();
        Self { client: client.expect("a plain client"), url: site.url().to_owned(), cookie: None }
    }

    /// A browser that comes with this `Cookie` header, such as `id=abc`.
    pub(crate) fn with_cookie(site: &impl Site, cookie: impl Into<String>) -> Self {
        Self { cookie: Some(cookie.into()), ..Self::new(site) }
    }

    /// Somebody who was here before and has the cookie to show for it.
    pub(crate) async fn returning(site: &impl Site) -> Self {
        let mut visitor = Self::new(site);
        visitor.visit().await;
        assert!(visitor.cookie.is_some(), "a visit starts a session");
        visitor
    }

    /// The same browser at another instance of the application.
    pub(crate) fn at(&self, site: &impl Site) -> Self {
        Self { url: site.url().to_owned(), ..self.clone() }
    }

    /// The cookie, as `name=value`.
    pub(crate) fn cookie(&self) -> &str {
        self.cookie.as_deref().expect("this visitor was given a cookie")
    }

    pub(crate) fn has_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// The cookie's value, as `<id>.<signature>`.
    pub(crate) fn cookie_value(&self) -> &str {
        self.cookie().split_once('=').expect("a cookie has a name and a value").1
    }

    pub(crate) fn id(&self) -> &str {
        self.cookie_value().split_once('.').expect("a cookie's value has two parts").0
    }

    pub(crate) fn signature(&self) -> &str {
        self.cookie_value().split_once('.').expect("a cookie's value has two parts").1
    }

    /// `GET /me`, which must succeed.
    pub(crate) async fn me(&mut self) -> Me {
        self.get("/me").await.me()
    }

    /// `GET /`.
    pub(crate) async fn visit(&mut self) -> Answer {
        self.get("/").await
    }

    pub(crate) async fn buy(&mut self, item: &str) -> Answer {
        self.post_json("/cart", &json!({ "item": item })).await
    }

    pub(crate) async fn sign_in(&mut self, user: &str) -> Answer {
        self.post_json("/login", &json!({ "user": user })).await
    }

    pub(crate) async fn log_out(&mut self) -> Answer {
        self.post_json("/logout", &json!({})).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(self.client.get(self.address(path))).await
    }

    pub(crate) async fn get_with_headers(&mut self, path: &str, headers: HeaderMap) -> Answer {
        self.send(self.client.get(self.address(path)).headers(headers)).await
    }

    pub(crate) async fn post_json(&mut self, path: &str, body: &Value) -> Answer {
        self.send(self.client.post(self.address(path)).json(body)).await
    }

    pub(crate) async fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(self.client.post(self.address(path)).form(fields)).await
    }

    pub(crate) async fn post_text(&mut self, path: &str, content_type: &str, body: &'static str) -> Answer {
        self.send(self.client.post(self.address(path)).header(CONTENT_TYPE, content_type).body(body)).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn send(&mut self, mut request: RequestBuilder) -> Answer {
        if let Some(cookie) = &self.cookie {
            request = request.header(
                COOKIE,
                HeaderValue::from_bytes(cookie.as_bytes()).expect("the cookie is header text"),
            );
        }
        let response = request.send().await.expect("the application answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.expect("the answer arrives whole");
        let answer = Answer { status, headers, body };
        if let Some(cookie) = answer.set_cookie() {
            let pair = cookie.split(';').next().unwrap_or_default();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        answer
    }
}

/// What the application answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The `Set-Cookie` header. There is never more than one.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        assert!(self.headers.get_all(SET_COOKIE).iter().count() <= 1, "{self:?}");
        self.header("set-cookie")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are text"))
    }

    /// The answer as JSON in the form that the contract gives.
    pub(crate) fn me(&self) -> Me {
        assert_eq!(self.status, 200, "{self:?}");
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer is JSON that says what failed, in the words of the shop.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, text: &str) -> Self {
        let answer = self.expect_status(status);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.body, json!({ "error": text }).to_string());
        answer
    }

    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_no_cookie(self) -> Self {
        assert_eq!(self.set_cookie(), None, "{self:?}");
        self
    }
}

/// What `GET /me` tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Me {
    pub(crate) user: Option<String>,
    pub(crate) visits: u32,
    pub(crate) cart: Vec<String>,
    pub(crate) created_at: Option<u64>,
    pub(crate) expires_at: Option<u64>,
    pub(crate) is_new: bool,
}

impl Me {
    /// What a visitor without a session sees.
    pub(crate) fn anonymous() -> Self {
        Self { user: None, visits: 0, cart: vec![], created_at: None, expires_at: None, is_new: true }
    }

    /// How many seconds of its life the session has left.
    pub(crate) fn seconds_left(&self) -> u64 {
        self.expires_at.expect("there is a session").saturating_sub(now())
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

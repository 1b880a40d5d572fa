//! A browser whose requests can be left half-way.

use std::collections::BTreeMap;

use reqwest::Client;
use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};

use super::gate::within;

/// Keeps cookies by name. Its clones are tabs that go their own ways.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    url: String,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(url: &str) -> Self {
        let client = Client::builder().no_proxy().build().expect("a plain client");
        Self { client, url: url.to_owned(), cookies: BTreeMap::new() }
    }

    /// Sends a request and keeps the cookies of its answer.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let answer = self.try_get(path).await.expect("an answer");
        for cookie in &answer.set_cookies {
            let (name, value) = cookie.split_once('=').expect("a cookie has a name");
            match value.split(';').next().unwrap_or_default() {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    /// The answer, or the error of a connection that broke.
    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.get(format!("{}{path}", self.url));
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let response = within(request.send()).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let texts = headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().expect("text").to_owned());
        Ok(Answer { status, set_cookies: texts.collect(), headers, body: response.text().await? })
    }

    /// The only cookie's value.
    pub(crate) fn cookie_value(&self) -> &str {
        assert_eq!(self.cookies.len(), 1);
        self.cookies.values().next().expect("one cookie")
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_no_cookie(self) -> Self {
        assert!(self.set_cookies.is_empty(), "{self:?}");
        self
    }

    /// All values of a header, joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().expect("text"));
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

//! A browser whose requests can be left half-way.

use std::collections::BTreeMap;

#[cfg(feature = "device-bound")]
use reqwest::Method;
use reqwest::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::lab::Notes;
use crate::support::gate::within;

/// Keeps cookies by name. Its clones are tabs that go their own ways.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    url: String,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(url: &str) -> Self {
        let client = Client::builder().redirect(Policy::none()).no_proxy().build().expect("a plain client");
        Self { client, url: url.to_owned(), cookies: BTreeMap::new() }
    }

    /// Sends a request and keeps the cookies of its answer.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let answer = self.try_get(path).await.expect("an answer");
        self.keep(&answer.set_cookies);
        answer
    }

    /// The same with further headers.
    #[cfg(feature = "device-bound")]
    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&'static str, String)]) -> Answer {
        self.send(Method::GET, path, headers).await
    }

    /// Sends a POST without a body, and keeps the cookies of its answer.
    #[cfg(feature = "device-bound")]
    pub(crate) async fn post(&mut self, path: &str, headers: &[(&'static str, String)]) -> Answer {
        self.send(Method::POST, path, headers).await
    }

    #[cfg(feature = "device-bound")]
    async fn send(&mut self, method: Method, path: &str, headers: &[(&'static str, String)]) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        for cookie in self.cookie_header() {
            request = request.header(COOKIE, cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = read(within(request.send()).await.expect("an answer")).await.expect("a body");
        self.keep(&answer.set_cookies);
        answer
    }

    /// The notes as the visitor sees them.
    pub(crate) async fn notes(&mut self) -> Notes {
        self.get("/notes/read").await.notes()
    }

    /// A request of another tab, to be waited for or aborted. The cookies of its answer are not kept.
    pub(crate) fn begin(&self, path: &str) -> JoinHandle<reqwest::Result<Answer>> {
        let (tab, path) = (self.clone(), path.to_owned());
        tokio::spawn(async move { tab.try_get(&path).await })
    }

    /// The answer, or the error of a connection that broke.
    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        self.try_get_with(path, self.cookie_header()).await
    }

    /// The same with these `Cookie` headers in place of the kept cookies.
    pub(crate) async fn try_get_with(
        &self,
        path: &str,
        cookies: Vec<HeaderValue>,
    ) -> reqwest::Result<Answer> {
        read(self.open(path, cookies).await?).await
    }

    /// What comes back for a request with these `Cookie` headers, sent as they are.
    pub(crate) async fn get_raw(&self, path: &str, cookies: &[Vec<u8>]) -> String {
        let host = self.url.trim_start_matches("http://");
        let mut request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n").into_bytes();
        for cookie in cookies {
            request.extend([b"Cookie: ", &cookie[..], b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        let mut connection = within(TcpStream::connect(host)).await.expect("the host listens");
        connection.write_all(&request).await.expect("the host reads");
        let mut answer = Vec::new();
        within(connection.read_to_end(&mut answer)).await.expect("the host answers");
        String::from_utf8(answer).expect("text")
    }

    /// The answer as far as its headers, whose cookies are kept; the body is to be read by the caller.
    pub(crate) async fn get_headers(&mut self, path: &str) -> Response {
        let response = self.open(path, self.cookie_header()).await.expect("an answer");
        self.keep(&set_cookies(response.headers()));
        response
    }

    /// The only cookie's value.
    pub(crate) fn cookie_value(&self) -> &str {
        assert_eq!(self.cookies.len(), 1);
        self.cookies.values().next().expect("one cookie")
    }

    /// The only cookie, as `name=value`.
    pub(crate) fn cookie(&self) -> String {
        assert_eq!(self.cookies.len(), 1);
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    pub(crate) fn cookie_names(&self) -> Vec<&str> {
        self.cookies.keys().map(String::as_str).collect()
    }

    async fn open(&self, path: &str, cookies: Vec<HeaderValue>) -> reqwest::Result<Response> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie);
        }
        within(self.client.get(format!("{}{path}", self.url)).headers(headers).send()).await
    }

    fn cookie_header(&self) -> Vec<HeaderValue> {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let header = || HeaderValue::try_from(pairs.join("; ")).expect("cookies are header text");
        (!pairs.is_empty()).then(header).into_iter().collect()
    }

    fn keep(&mut self, set_cookies: &[String]) {
        for cookie in set_cookies {
            let (name, value) = cookie.split_once('=').expect("a cookie has a name");
            match value.split(';').next().unwrap_or_default() {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
    }
}

async fn read(response: Response) -> reqwest::Result<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = within(response.text()).await?;
    Ok(Answer { status, set_cookies: set_cookies(&headers), headers, body })
}

fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().expect("text").to_owned()).collect()
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

    /// The answer sets one cookie.
    #[track_caller]
    pub(crate) fn expect_cookie(self) -> Self {
        assert_eq!(self.set_cookies.len(), 1, "{self:?}");
        self
    }

    /// The answer removes the cookie `id`, and does nothing else to cookies.
    #[track_caller]
    pub(crate) fn expect_removal(self) -> Self {
        let removal = "id=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(self.set_cookies, [removal], "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn notes(&self) -> Notes {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// All values of a header, joined.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values = self.headers.get_all(name).iter().map(|value| value.to_str().expect("text"));
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

//! What requests cost, and the cookie on the wire.

use reqwest::header::HeaderValue;
use session_store::{SameSite, SessionCookie};

use crate::lab::Notes;
use crate::site::{IDLE, Site, Stage};
use crate::store::Call;

pub(crate) async fn a_route_that_never_uses_the_session_costs_nothing(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    for (path, status) in [("/static", 200), ("/not_found", 404)] {
        let answer = browser.get(path).await.expect_status(status).expect_no_cookie();
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, None), "{path}");
    }
    assert_eq!(site.store().calls(), []);
}

pub(crate) async fn an_anonymous_read_costs_no_store_call_and_sets_no_cookie(stage: Stage) {
    let site = stage.open();
    let answer = site.browser().get("/notes/read").await.expect_no_cookie();
    assert_eq!(answer.notes(), Notes::default());
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    assert_eq!(answer.header("cache-control"), None);
    assert_eq!(site.store().calls(), []);
}

pub(crate) async fn a_session_is_loaded_once_and_its_cookie_sent_once(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser();
    browser.get("/notes/text/hello").await.expect_status(200).expect_cookie();
    assert_eq!(site.store().calls(), [Call::Create]);
    browser.get("/notes/read").await.expect_status(200).expect_no_cookie();
    assert_eq!(site.store().calls(), [Call::Load]);
    browser.get("/notes/text/again").await.expect_status(200).expect_no_cookie();
    assert_eq!(site.store().calls(), [Call::Load, Call::Update]);
}

/// SECURITY 4.
pub(crate) async fn a_forged_cookie_costs_no_store_call(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let (id, signature) = browser.cookie_value().split_once('.').unwrap();
    for forged in [format!("{signature}.{id}"), format!("{id}.{}", "A".repeat(43)), "%00".to_owned()] {
        browser.cookies.insert("id".to_owned(), forged);
        assert_eq!(browser.notes().await, Notes::default());
    }
    assert_eq!(site.store().calls(), []);
}

/// HTTP/2 clients may send a header for each cookie (RFC 9113 8.2.3).
pub(crate) async fn cookies_in_several_headers_are_read(stage: Stage) {
    let site = stage.open();
    let browser = site.browser_with_text("hello").await;
    let own = browser.cookie();
    for headers in
        [["lang=de", "seen=yes", &own], ["lang=de", &own, "seen=yes"], [&own, "lang=de", "seen=yes"]]
    {
        let headers = headers.iter().map(|text| HeaderValue::from_str(text).unwrap()).collect();
        let answer = browser.try_get_with("/notes/read", headers).await.unwrap();
        assert_eq!(answer.notes(), Notes::with_text("hello"));
    }
}

/// SECURITY 27.
pub(crate) async fn a_foreign_cookie_of_any_bytes_does_not_cost_the_session(stage: Stage) {
    let site = stage.open();
    let browser = site.browser_with_text("hello").await;
    let own = browser.cookie();
    for foreign in
        [&b"consent=\xe9t\xe9"[..], b"\xff=\xff", "name=\u{fc}\u{1f36a}".as_bytes(), b"no-value", b""]
    {
        for header in [[foreign, b"; ", own.as_bytes()].concat(), [own.as_bytes(), b"; ", foreign].concat()] {
            let shown = String::from_utf8_lossy(&header).into_owned();
            let header = HeaderValue::from_bytes(&header).unwrap();
            let answer = browser.try_get_with("/notes/read", vec![header]).await.unwrap();
            assert_eq!(answer.notes(), Notes::with_text("hello"), "{shown}");
        }
    }
}

/// SECURITY 16 and 20.
pub(crate) async fn the_default_cookie_keeps_its_attributes_for_life(stage: Stage) {
    let site = stage.open_with(|notes| notes.cookie(SessionCookie::new()));
    keeps_its_attributes(&site, "__Host-id", "HttpOnly; SameSite=Lax; Secure; Path=/", "").await;
}

/// SECURITY 20.
pub(crate) async fn a_cookie_with_every_attribute_keeps_them_for_life(stage: Stage) {
    let cookie = SessionCookie::new().domain("example.com").path("/notes").partitioned(true);
    let cookie = cookie.same_site(SameSite::Strict).persistent(true);
    let site = stage.open_with(|notes| notes.cookie(cookie));
    let attributes = "HttpOnly; SameSite=Strict; Partitioned; Secure; Path=/notes; Domain=example.com";
    keeps_its_attributes(&site, "__Secure-id", attributes, &format!("; Max-Age={}", IDLE.as_secs())).await;
}

/// From creation to removal. `life` is what the cookie says of its end.
async fn keeps_its_attributes(site: &Site, name: &str, attributes: &str, life: &str) {
    let mut browser = site.browser();
    for path in ["/notes/text/hello", "/notes/renew", "/notes/sign_in/ada"] {
        let before = browser.cookies.clone();
        let answer = browser.get(path).await.expect_status(200);
        assert_ne!(browser.cookies, before, "{path}");
        let (id, signature) = browser.cookie_value().split_once('.').expect("two parts");
        assert_eq!((id.len(), signature.len()), (32, 43));
        assert_eq!(answer.set_cookies, [format!("{name}={id}.{signature}; {attributes}{life}")], "{path}");
    }
    let answer = browser.get("/notes/log_out").await.expect_status(200);
    let forget = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(answer.set_cookies, [format!("{name}=; {attributes}; {forget}")]);
}

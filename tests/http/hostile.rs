//! Cookies that nobody was given, in every shape. Whoever sends one is an anonymous visitor.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, HeaderValue};

use super::stage::{OTHER_SECRET, Stage};
use super::visitor::{Me, Visitor};
use crate::support::app::App;

/// SECURITY 3, 4, 24 and 27.
pub(crate) async fn a_bad_cookie_is_an_anonymous_visitor(stage: Stage) {
    let app = stage.app().await;
    let victim = Visitor::returning(&app).await;
    let other = Visitor::returning(&app).await;
    let (id, signature, value) = (victim.id(), victim.signature(), victim.cookie_value());

    let texts = [
        String::new(),
        "id".to_owned(),
        "id=".to_owned(),
        "id=.".to_owned(),
        "=".to_owned(),
        ";;;=;==;".to_owned(),
        format!("id={}", "x".repeat(10_000)),
        format!("id={id}.{}", "x".repeat(10_000)),
        format!("{}=x", "n".repeat(10_000)),
        // No signature, or not its own.
        format!("id={id}"),
        format!("id={id}."),
        format!("id={id}.{}", changed(signature)),
        format!("id={id}.{}", other.signature()),
        format!("id={}.{signature}", changed(id)),
        // Signed, and then bent.
        format!("id={}", &value[..value.len() - 1]),
        format!("id={value}A"),
        format!("id={value}="),
        format!("id={value}.{signature}"),
        format!("id=.{value}"),
        format!("id={signature}.{id}"),
        format!("id=\"{value}\""),
        format!("id={}", value.replace('.', "%2E")),
        format!("ID={value}"),
        format!("xid={value}"),
        // Not from here at all.
        "id=../../etc/passwd".to_owned(),
        "id={\"user\":\"ada\"}".to_owned(),
        "id=*".to_owned(),
        "id=\u{1f36a}\u{202e}".to_owned(),
    ];
    let bytes = [
        b"id=\x80\xfe\xff".to_vec(),
        [b"id=", id.as_bytes(), b".\xff\xff\xff"].concat(),
        b"\xff\xff=\xff".to_vec(),
    ];
    for cookie in texts.map(String::into_bytes).iter().chain(&bytes) {
        comes_as_an_anonymous_visitor(&app, cookie, &victim).await;
    }
    assert_eq!(victim.clone().me().await.visits, 1);
}

/// Reads nothing, sets no cookie, and gets a session of a fresh id at the first write.
async fn comes_as_an_anonymous_visitor(app: &App, cookie: &[u8], victim: &Visitor) {
    let shown = String::from_utf8_lossy(&cookie[..cookie.len().min(120)]).into_owned();
    let mut visitor = Visitor::new(app);
    let read = visitor.get_with_headers("/me", cookie_header(cookie)).await;
    assert_eq!((read.status, read.set_cookie()), (200, None), "{shown}: {read:?}");
    assert_eq!(read.me(), Me::anonymous(), "{shown}");

    let written = visitor.get_with_headers("/", cookie_header(cookie)).await;
    assert_eq!((written.status, written.set_cookie().is_some()), (200, true), "{shown}: {written:?}");
    assert_ne!(visitor.id(), victim.id(), "{shown}");
    assert_eq!(visitor.me().await.visits, 1, "{shown}");
}

fn cookie_header(bytes: &[u8]) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, HeaderValue::from_bytes(bytes).expect("no control characters"))])
}

/// The same text with another first character.
fn changed(text: &str) -> String {
    let first = if text.starts_with('A') { 'B' } else { 'A' };
    format!("{first}{}", &text[1..])
}

/// SECURITY 24.
pub(crate) async fn a_cookie_signed_under_another_name_is_an_anonymous_visitor(stage: Stage) {
    let plain = stage.app().await;
    let secure = stage.app_with_default_cookie().await;
    let victim = Visitor::returning(&plain).await;
    let renamed = format!("__Host-Http-id={}", victim.cookie_value());
    comes_as_an_anonymous_visitor(&secure, renamed.as_bytes(), &victim).await;
}

/// SECURITY 24.
pub(crate) async fn a_cookie_signed_by_another_key_is_an_anonymous_visitor(stage: Stage) {
    let (app, foreign) = (stage.app().await, stage.app_with(&[("SESSION_SECRET", OTHER_SECRET)]).await);
    let victim = Visitor::returning(&foreign).await;
    comes_as_an_anonymous_visitor(&app, victim.cookie().as_bytes(), &victim).await;
}

/// SECURITY 3.
pub(crate) async fn a_well_signed_id_that_is_not_stored_is_never_adopted(stage: Stage) {
    let app = stage.app().await;
    let forgotten = Visitor::returning(&app).await;
    let app = stage.forget_everything(app).await;

    comes_as_an_anonymous_visitor(&app, forgotten.cookie().as_bytes(), &forgotten).await;
    let mut signing_in = forgotten.at(&app);
    signing_in.sign_in("ada").await.expect_status(200);
    assert_ne!(signing_in.id(), forgotten.id());
    assert_eq!(forgotten.at(&app).me().await, Me::anonymous());
}

/// SECURITY 27. A NUL can't be sent by an HTTP client: no header may hold one (RFC 9110 5.5).
pub(crate) async fn a_nul_byte_is_answered_without_a_server_error(stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let good = visitor.cookie();
    for cookie in [&b"id=\0"[..], b"\0", &[good.as_bytes(), b"; foreign=\0"].concat()] {
        let answer = exchange_bytes(&app, cookie);
        let refused = answer.starts_with("HTTP/1.1 4");
        assert!(refused || answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!answer.to_ascii_lowercase().contains("set-cookie"), "{answer}");
    }
    assert_eq!(visitor.me().await.visits, 1);
}

/// `GET /me` with whatever bytes in its `Cookie` header, and what comes back.
fn exchange_bytes(app: &App, cookie: &[u8]) -> String {
    let address = app.url().strip_prefix("http://").expect("plain http");
    let mut stream = TcpStream::connect(address).expect("the application listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout can be set");
    let request =
        [b"GET /me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: ", cookie, b"\r\n\r\n"];
    stream.write_all(&request.concat()).expect("the application reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the application answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// SECURITY 27.
pub(crate) async fn a_foreign_cookie_of_any_bytes_does_not_cost_the_session(stage: Stage) {
    let app = stage.app().await;
    let visitor = Visitor::returning(&app).await;
    let good = visitor.cookie().as_bytes();
    for foreign in [
        &b"consent=\xe9t\xe9"[..],
        b"\xff=\xff",
        "name=\u{fc}\u{1f36a}".as_bytes(),
        b"prefs={\"a\": \"b, c\"}",
        b"quoted=\"a b\"",
        b"percent=%zz%00",
        b"no-value",
        b"=no-name",
        b"",
    ] {
        for header in [[foreign, b"; ", good].concat(), [good, b"; ", foreign].concat()] {
            let answer = Visitor::new(&app).get_with_headers("/me", cookie_header(&header)).await;
            assert_eq!(answer.me().visits, 1, "{}", String::from_utf8_lossy(&header));
        }
    }
}

/// SECURITY 27.
pub(crate) async fn a_good_cookie_is_found_behind_nine_forged_ones(stage: Stage) {
    let app = stage.app().await;
    let good = Visitor::returning(&app).await;
    let (id, signature) = (good.id(), good.signature());
    let forged = format!("id={id}.{}; ", changed(signature)).repeat(9);
    let mut visitor = Visitor::with_cookie(&app, forged + good.cookie());
    assert_eq!(visitor.me().await.visits, 1);
    visitor.visit().await.expect_status(200).expect_no_cookie();
    assert_eq!(good.clone().me().await.visits, 2);
}

/// HTTP/2 clients may send a header for each cookie (RFC 9113 8.2.3).
pub(crate) async fn cookies_in_several_headers_are_read(stage: Stage) {
    let app = stage.app().await;
    let visitor = Visitor::returning(&app).await;
    let mut headers = HeaderMap::new();
    for cookie in ["theme=dark", visitor.cookie(), "lang=de"] {
        headers.append(COOKIE, cookie.parse().expect("the cookie is header text"));
    }
    assert_eq!(Visitor::new(&app).get_with_headers("/me", headers).await.me().visits, 1);
}

/// SECURITY 22.
pub(crate) async fn ids_are_read_from_cookies_only(stage: Stage) {
    let app = stage.app().await;
    let visitor = Visitor::returning(&app).await;
    let value = visitor.cookie_value();
    let mut headers = HeaderMap::new();
    for (name, text) in [
        ("id", value.to_owned()),
        ("x-session-id", value.to_owned()),
        ("authorization", format!("Bearer {value}")),
        ("set-cookie", visitor.cookie().to_owned()),
    ] {
        headers.append(name, text.parse().expect("the cookie is header text"));
    }
    let path = format!("/me?{}", visitor.cookie());
    assert_eq!(Visitor::new(&app).get_with_headers(&path, headers).await.me(), Me::anonymous());
}

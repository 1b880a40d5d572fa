//! What requests cost, and the cookie on the wire.

use reqwest::header::HeaderValue;
#[cfg(feature = "express")]
use session_store::KeyRing;
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

/// SECURITY 29.
pub(crate) async fn a_cookie_whose_name_resembles_ours_is_never_ours(stage: Stage) {
    let site = stage.open_with(|notes| notes.cookie(SessionCookie::new()));
    resembling_names_are_never_ours(&site, "__Host-Http-id").await;
}

/// SECURITY 29.
#[cfg(feature = "express")]
pub(crate) async fn a_cookie_whose_name_resembles_that_of_express_is_never_ours(stage: Stage) {
    resembling_names_are_never_ours(&open_as_express(stage, "connect.sid"), "connect.sid").await;
}

/// SECURITY 29.
#[cfg(feature = "express")]
pub(crate) async fn a_cookie_whose_name_resembles_that_of_express_on_one_host_is_never_ours(stage: Stage) {
    let name = "__Host-connect.sid";
    resembling_names_are_never_ours(&open_as_express(stage, name), name).await;
}

/// With cookies of this name that Express would make.
#[cfg(feature = "express")]
fn open_as_express(stage: Stage, name: &str) -> Site {
    let keys = KeyRing::express("keyboard cat").expect("a secret");
    stage.open_with_keys(keys, |notes| notes.cookie(SessionCookie::new().name(name)))
}

/// Each is a cookie that a browser may take from a sibling subdomain, and sends before ours, as its path is
/// longer.
async fn resembling_names_are_never_ours(site: &Site, name: &str) {
    let (victim, attacker) =
        (site.browser_with_text("victim").await, site.browser_with_text("attacker").await);
    let (own, value) = (victim.cookie(), attacker.cookie_value());
    assert_eq!(victim.cookie_names(), [name]);
    // Express also takes a value without escapes.
    let unescaped = value.replacen("%3A", ":", 1);
    let values = if unescaped == value { vec![value] } else { vec![value, &unescaped] };
    for value in &values {
        let answer = victim.get_raw("/notes/read", &[format!("{name}={value}").into_bytes()]).await;
        assert!(answer.contains("attacker"), "under the name itself it is a session: {answer}");
    }
    let patterns = [
        "\u{2000}{}",
        "\u{85}{}",
        "\u{a0}{}",
        "\u{1680}{}",
        "\u{2028}{}",
        "\u{3000}{}",
        "\u{feff}{}",
        "{}\u{2000}",
        "\u{2000} {}",
        "\t\u{a0}\t{}",
        "={}",
        "a={}",
        " ={}",
        "x,{}",
        "$Version=1,{}",
        "{} x",
        "\"{}\"",
        "\"{}",
        "{}\"",
        "{}%20",
        "\u{b}{}",
        "\u{c}{}",
        "\0{}",
        "\u{7f}{}",
        "{}\u{1}",
    ];
    let mut resembling: Vec<_> = patterns.iter().map(|pattern| pattern.replace("{}", name)).collect();
    resembling.extend([
        name.to_ascii_lowercase(),
        name.to_ascii_uppercase(),
        format!("%{:02X}{}", name.as_bytes()[0], &name[1..]),
        name.replacen('-', "%2D", 1).replacen('.', "%2E", 1),
    ]);
    resembling.retain(|other| other != name);
    for (resembling, value) in
        resembling.iter().flat_map(|name| values.iter().map(move |value| (name, value)))
    {
        let planted = format!("{resembling}={value}");
        for (cookies, expected) in [
            (vec![format!("{planted}; {own}")], "victim"),
            (vec![planted.clone(), own.clone()], "victim"),
            (vec![format!("a=\"; {own}; b=\""), planted.clone()], "victim"),
            (vec![planted.clone()], ""),
        ] {
            let cookies: Vec<_> = cookies.into_iter().map(String::into_bytes).collect();
            let answer = victim.get_raw("/notes/read", &cookies).await;
            // Controls are no part of a header (RFC 9110 section 5.5), and some hosts refuse them.
            let is_refused =
                resembling.contains(|c: char| c.is_ascii_control() && c != '\t') && answer.contains(" 400 ");
            let shown = serde_json::to_string(&Notes::with_text(expected)).unwrap();
            assert!(is_refused || answer.contains(&shown), "{planted:?}: {answer}");
        }
    }
    // The same in Latin-1, which is no text in UTF-8.
    for byte in [0x85, 0xa0, 0xff] {
        let planted = [&[byte], name.as_bytes(), b"=", values[0].as_bytes()].concat();
        let answer = victim.get_raw("/notes/read", &[[&planted, &b"; "[..], own.as_bytes()].concat()]).await;
        assert!(answer.contains("victim"), "{byte:#x}: {answer}");
        let answer = victim.get_raw("/notes/read", &[planted]).await;
        assert!(answer.contains(" 200 ") && !answer.contains("attacker"), "{byte:#x}: {answer}");
    }
}

/// SECURITY 30. Without `__Host-` a sibling subdomain can set cookies of the name.
pub(crate) async fn cookies_of_ended_sessions_do_not_hide_the_one_that_lives(stage: Stage) {
    let site = stage.open();
    let mut cookies = Vec::new();
    for _ in 0..6 {
        let mut ended = site.browser_with_text("ended").await;
        cookies.push(ended.cookie());
        ended.get("/notes/log_out").await.expect_status(200);
    }
    let browser = site.browser_with_text("alive").await;
    let forged = format!("id={}x", browser.cookie_value());
    cookies.extend([forged, cookies[0].clone(), browser.cookie(), cookies[1].clone()]);
    site.store().calls();
    let together = vec![HeaderValue::from_str(&cookies.join("; ")).unwrap()];
    let one_by_one = cookies.iter().map(|cookie| HeaderValue::from_str(cookie).unwrap()).collect();
    for headers in [together, one_by_one] {
        let answer = browser.try_get_with("/notes/read", headers).await.unwrap();
        assert_eq!(answer.notes(), Notes::with_text("alive"));
        // Each id once.
        assert_eq!(site.store().calls(), [Call::Load; 7]);
    }
}

/// SECURITY 16 and 20.
pub(crate) async fn the_default_cookie_keeps_its_attributes_for_life(stage: Stage) {
    let site = stage.open_with(|notes| notes.cookie(SessionCookie::new()));
    keeps_its_attributes(&site, "__Host-Http-id", "HttpOnly; SameSite=Lax; Secure; Path=/", "").await;
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

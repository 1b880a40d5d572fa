//! The headers that sessions and handlers both have a say in.

use crate::site::Stage;

/// SECURITY 19.
pub(crate) async fn a_handlers_cache_control_gives_way_where_the_cookie_is_set(stage: Stage) {
    const CACHED: &str = "public, s-maxage=60";
    let site = stage.open();
    let mut browser = site.browser();
    for (path, expected) in [
        ("/notes/text/hello", "no-store"),
        ("/notes/text/hello", CACHED),
        ("/notes/renew", "no-store"),
        ("/notes/read", CACHED),
        ("/notes/log_out", "no-store"),
        ("/notes/read", CACHED),
    ] {
        let answer =
            browser.get(&format!("{path}?cache-control=public,+s-maxage=60")).await.expect_status(200);
        assert_eq!(answer.header("cache-control").as_deref(), Some(expected), "{path}");
        assert_eq!(answer.set_cookies.is_empty(), expected == CACHED, "{path}");
    }
}

/// SECURITY 19: caches that know one of these fields ignore `Cache-Control`.
pub(crate) async fn what_would_override_no_store_goes_where_the_cookie_is_set(stage: Stage) {
    const FIELDS: [&str; 11] = [
        "CDN-Cache-Control",
        "cloudflare-cdn-cache-control",
        "Vercel-CDN-Cache-Control",
        "Netlify-CDN-Cache-Control",
        "X-LiteSpeed-Cache-Control",
        "Somebodys-Cache-Control",
        "Surrogate-Control",
        "SURROGATE-CONTROL",
        "Edge-Control",
        "X-Accel-Expires",
        "Expires",
    ];
    let site = stage.open();
    let fields = FIELDS.map(|field| format!("{field}=max-age=60&{field}=public")).join("&");
    let query = format!("cache-control=public&cache-control=max-age=9&{fields}&x-cache=hit&surrogate-key=a");
    let mut browser = site.browser();
    for (path, sets_cookie) in [
        ("/notes/text/hello", true),
        ("/notes/text/again", false),
        ("/notes/renew", true),
        ("/notes/read", false),
        ("/notes/log_out", true),
    ] {
        let answer = browser.get(&format!("{path}?{query}")).await.expect_status(200);
        assert_eq!(answer.set_cookies.len(), usize::from(sets_cookie), "{path}");
        if sets_cookie {
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{path}");
            assert!(FIELDS.iter().all(|field| answer.header(field).is_none()), "{path}: {answer:?}");
        } else {
            assert_eq!(answer.header("cache-control").as_deref(), Some("public, max-age=9"), "{path}");
            assert!(FIELDS.iter().all(|field| answer.header(field).is_some()), "{path}: {answer:?}");
        }
        assert_eq!(answer.header("x-cache").as_deref(), Some("hit"));
        assert_eq!(answer.header("surrogate-key").as_deref(), Some("a"));
    }
}

/// SECURITY 19.
pub(crate) async fn a_handlers_vary_is_merged_and_its_cookies_stay(stage: Stage) {
    let site = stage.open();
    for (varies, expected) in [
        ("vary=Accept-Encoding", "Accept-Encoding, Cookie"),
        ("vary=accept-encoding,+COOKIE", "accept-encoding, COOKIE"),
        ("vary=accept&vary=cookie", "accept, cookie"),
        ("vary=Cookies", "Cookies, Cookie"),
        ("vary=*", "*"),
    ] {
        let mut browser = site.browser();
        let path = format!("/notes/count?set-cookie=lang=de&{varies}");
        let answer = browser.get(&path).await.expect_status(200);
        assert_eq!(answer.header("vary").as_deref(), Some(expected));
        assert_eq!(browser.cookie_names(), ["id", "lang"], "{answer:?}");
    }
}

pub(crate) async fn an_answer_that_takes_the_handlers_place_takes_that_of_its_headers(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("old").await;
    let mut left_behind = browser.clone();
    browser.get("/notes/sign_in/ada").await.expect_status(200);
    // A write to an id that was renewed is refused when the handler has answered already.
    let path = "/notes/text/late?set-cookie=promise=made&vary=Accept&content-type=application/json";
    let answer = left_behind.get(path).await.expect_status(409).expect_no_cookie();
    assert_eq!(answer.body, "Conflict");
    assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
}

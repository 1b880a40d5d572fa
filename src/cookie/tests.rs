use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn built(cookie: SessionCookie) -> CheckedCookie {
    cookie.build().expect("no contradiction")
}

/// SECURITY 16.
#[test]
fn the_default_cookie_is_the_safest() {
    let set = built(SessionCookie::new()).set("value", None, None);
    assert_eq!(set, "__Host-Http-id=value; HttpOnly; SameSite=Lax; Secure; Path=/");
}

#[test]
fn names_follow_the_attributes() {
    assert_eq!(built(SessionCookie::new().secure(false)).name(), "id");
    assert_eq!(built(SessionCookie::new().domain("example.com")).name(), "__Secure-id");
    assert_eq!(built(SessionCookie::new().path("/app")).name(), "__Secure-id");
}

#[test]
fn a_prefix_goes_with_the_attributes_that_browsers_ask_for() {
    let secure = || SessionCookie::new();
    for cookie in [
        secure().name("__Host-Http-id"),
        secure().name("__Host-id"),
        secure().name("__Http-id"),
        secure().name("__Http-id").domain("example.com").path("/app"),
        secure().name("__Secure-id").domain("example.com"),
        // No prefixes: browsers ask nothing of them.
        secure().secure(false).name("_Host-id"),
        secure().secure(false).name("__Hostid"),
        secure().secure(false).name("x__Http-id"),
    ] {
        let set = built(cookie).set("v", None, None);
        assert!(set.contains("; HttpOnly"), "{set}");
    }
}

#[test]
fn a_persistent_cookie_lives_at_least_as_long_as_its_session() {
    let cookie = built(SessionCookie::new());
    assert!(cookie.set("v", Some(Duration::from_millis(1)), None).ends_with("Max-Age=1"));
    assert!(cookie.set("v", Some(HOUR), None).ends_with("Max-Age=3600"));
}

/// SECURITY 20.
#[test]
fn removal_repeats_every_attribute() {
    let cookie = built(
        SessionCookie::new()
            .name("sid")
            .domain("example.com")
            .path("/app")
            .same_site(SameSite::None)
            .partitioned(true),
    );
    let attributes = "HttpOnly; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.com";
    assert_eq!(cookie.set("v", Some(HOUR), None), format!("sid=v; {attributes}; Max-Age=3600"));
    let forget = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(cookie.removal(None), format!("sid=; {attributes}; {forget}"));
}

/// SECURITY 17 and 18.
#[test]
fn contradictions_are_refused() {
    let plain = || SessionCookie::new().secure(false);
    for (contradiction, word) in [
        (plain().same_site(SameSite::None), "Secure"),
        (plain().partitioned(true), "Secure"),
        (plain().name("__Host-id"), "`__Host-` and so must be Secure"),
        (plain().name("__SECURE-id"), "`__Secure-` and so must be Secure"),
        (plain().name("__Http-id"), "`__Http-` and so must be Secure"),
        (plain().name("__hTTP-"), "`__Http-` and so must be Secure"),
        (plain().name("__Host-Http-id"), "`__Host-Http-` and so must be Secure"),
        (plain().name("__HOST-http-id"), "`__Host-Http-` and so must be Secure"),
        (SessionCookie::new().name("__Host-id").domain("example.com"), "`__Host-` and so may have no Domain"),
        (
            SessionCookie::new().name("__host-id").path("/app"),
            "`__Host-` and so may have no Domain and no Path",
        ),
        (
            SessionCookie::new().name("__Host-Http-id").domain("a.b"),
            "`__Host-Http-` and so may have no Domain",
        ),
        (SessionCookie::new().name("__host-HTTP-id").path("/app"), "`__Host-Http-` and so may have no"),
        (SessionCookie::new().name(""), "name"),
        (SessionCookie::new().name("a b"), "name"),
        (SessionCookie::new().name("a=b"), "name"),
        (SessionCookie::new().name("n".repeat(4096)), "longer"),
        (SessionCookie::new().path("app"), "path"),
        (SessionCookie::new().path("/; Secure"), "path"),
        (SessionCookie::new().domain("a; b"), "domain"),
    ] {
        let message = contradiction.build().unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

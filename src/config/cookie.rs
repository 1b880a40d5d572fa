//! The session cookie, as the variables `SESSION_COOKIE_…` say.

use super::environment::{Environment, wrong};
use super::layout::Layout;
use crate::cookie::fault::{Attribute, CookieFault};
use crate::cookie::{SameSite, SessionCookie};
use crate::error::Error;

pub(super) fn cookie(environment: &Environment<'_>, layout: &Layout) -> Result<SessionCookie, Error> {
    let mut cookie = layout.cookie();
    if let Some(name) = environment.text("SESSION_COOKIE_NAME")? {
        cookie = cookie.name(name);
    }
    if let Some(path) = environment.text("SESSION_COOKIE_PATH")? {
        cookie = cookie.path(path);
    }
    if let Some(domain) = environment.text("SESSION_COOKIE_DOMAIN")? {
        cookie = cookie.domain(domain);
    }
    if let Some(secure) = environment.flag("SESSION_COOKIE_SECURE")? {
        cookie = cookie.secure(secure);
    }
    if let Some(same_site) = same_site(environment)? {
        cookie = cookie.same_site(same_site);
    }
    if let Some(partitioned) = environment.flag("SESSION_COOKIE_PARTITIONED")? {
        cookie = cookie.partitioned(partitioned);
    }
    if let Some(persistent) = environment.flag("SESSION_COOKIE_PERSISTENT")? {
        cookie = cookie.persistent(persistent);
    }
    match cookie.fault() {
        None => Ok(cookie),
        Some(fault) => Err(refusal(&fault)),
    }
}

fn same_site(environment: &Environment<'_>) -> Result<Option<SameSite>, Error> {
    let Some(text) = environment.text("SESSION_COOKIE_SAMESITE")? else { return Ok(None) };
    // In a `Set-Cookie` header, too, browsers take it in any case.
    match &*text.to_ascii_lowercase() {
        "strict" => Ok(Some(SameSite::Strict)),
        "lax" => Ok(Some(SameSite::Lax)),
        "none" => Ok(Some(SameSite::None)),
        _ => Err(wrong("SESSION_COOKIE_SAMESITE", &text, "give `strict`, `lax` or `none`")),
    }
}

/// Names the variables. What they say is not shown: it may be a secret that was put into the wrong one.
fn refusal(fault: &CookieFault) -> Error {
    let names: Vec<_> = fault.attributes.iter().map(|attribute| variable(*attribute)).collect();
    let (names, why) = (names.join(" and "), &fault.why);
    Error::Config(match fault.attributes {
        [_] => format!("{names} cannot be used: the session cookie {why}"),
        _ => format!("{names} contradict each other: the session cookie {why}; leave out one of them"),
    })
}

fn variable(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Name => "SESSION_COOKIE_NAME",
        Attribute::Path => "SESSION_COOKIE_PATH",
        Attribute::Domain => "SESSION_COOKIE_DOMAIN",
        Attribute::Secure => "SESSION_COOKIE_SECURE",
        Attribute::SameSite => "SESSION_COOKIE_SAMESITE",
        Attribute::Partitioned => "SESSION_COOKIE_PARTITIONED",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fault, read};

    /// What a browser is told.
    fn set_cookie(vars: &[(&str, &str)]) -> String {
        let settings = read(vars).unwrap_or_else(|error| panic!("{vars:?}: {error}"));
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
        settings.cookie.build().unwrap().set("v", None, None)
    }

    #[test]
    fn each_attribute_has_its_variable() {
        for (vars, expected) in [
            (&[][..], "__Host-Http-id=v; HttpOnly; SameSite=Lax; Secure; Path=/"),
            (&[("SESSION_COOKIE_NAME", "sid")], "sid=v; HttpOnly; SameSite=Lax; Secure; Path=/"),
            (&[("SESSION_COOKIE_SECURE", "false")], "id=v; HttpOnly; SameSite=Lax; Path=/"),
            (
                &[("SESSION_COOKIE_PATH", "/shop")],
                "__Secure-id=v; HttpOnly; SameSite=Lax; Secure; Path=/shop",
            ),
            (
                &[("SESSION_COOKIE_DOMAIN", "example.com")],
                "__Secure-id=v; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com",
            ),
            (
                &[("SESSION_COOKIE_PARTITIONED", "true"), ("SESSION_COOKIE_SAMESITE", "none")],
                "__Host-Http-id=v; HttpOnly; SameSite=None; Partitioned; Secure; Path=/",
            ),
        ] {
            assert_eq!(set_cookie(vars), expected);
        }
        for (text, attribute) in
            [("strict", "Strict"), ("Strict", "Strict"), ("LAX", "Lax"), ("lax", "Lax"), ("None", "None")]
        {
            let set = set_cookie(&[("SESSION_COOKIE_SAMESITE", text)]);
            assert!(set.contains(&format!("; SameSite={attribute};")), "{text}: {set}");
        }
    }

    #[test]
    fn contradictions_name_both_variables() {
        const NAME: &str = "SESSION_COOKIE_NAME";
        const SECURE: &str = "SESSION_COOKIE_SECURE";
        for (one, other, why) in [
            (("SESSION_COOKIE_SAMESITE", "None"), (SECURE, "false"), "SameSite=None and so must be Secure"),
            (("SESSION_COOKIE_PARTITIONED", "1"), (SECURE, "0"), "Partitioned and so must be Secure"),
            ((NAME, "__Secure-id"), (SECURE, "false"), "`__Secure-` and so must be Secure"),
            ((NAME, "__host-id"), ("SESSION_COOKIE_DOMAIN", "example.com"), "`__Host-` and so may have no"),
            ((NAME, "__Host-Http-id"), ("SESSION_COOKIE_PATH", "/shop"), "`__Host-Http-` and so may have no"),
        ] {
            let message = fault(&[one, other]);
            let names = format!("{} and {} contradict each other: ", one.0, other.0);
            assert!(message.starts_with(&names) && message.contains(why), "{message}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_shown() {
        for (name, value, advice) in [
            ("SESSION_COOKIE_NAME", "hunter2 hunter2", "such as `sid`"),
            ("SESSION_COOKIE_PATH", "hunter2", "such as `/shop`"),
            ("SESSION_COOKIE_DOMAIN", "https://hunter2", "such as `example.com`"),
            ("SESSION_COOKIE_SAMESITE", "hunter2=hunter2", "`strict`, `lax` or `none`"),
        ] {
            let message = fault(&[(name, value)]);
            assert!(message.starts_with(&format!("{name} cannot be used: ")), "{message}");
            assert!(message.contains(advice) && !message.contains("hunter2"), "{message}");
        }
        assert!(
            fault(&[("SESSION_COOKIE_SAMESITE", "yes")]).contains("SESSION_COOKIE_SAMESITE is \"yes\": ")
        );
        assert!(fault(&[("SESSION_COOKIE_PARTITIONED", "yes")]).contains("`true` or `false`"));
    }
}

//! The attributes that a session of Express has of its own.

use std::borrow::Cow;

use cookie::SameSite;
use serde_json::{Map, Value};

use crate::cookie::Attributes;
use crate::cookie::fault::{is_attribute_text, is_host_text};
use crate::record::Payload;

/// What express-session would send for a session with this member `cookie`: attributes that it does not have are not
/// sent, but for `Path` and `HttpOnly`, which its class `Cookie` begins with.
pub(in crate::cookie) fn attributes(stored: &Payload) -> Option<Attributes<'static>> {
    let stored: Map<String, Value> = serde_json::from_slice(stored.bytes()).ok()?;
    let is_set = |name| stored.get(name).is_some_and(is_truthy);
    let text = |name, is_fit: fn(u8) -> bool| {
        let text = stored.get(name)?.as_str()?;
        (!text.is_empty() && text.bytes().all(is_fit)).then(|| Cow::Owned(text.to_owned()))
    };
    let path = if stored.contains_key("path") { text("path", is_attribute_text) } else { Some("/".into()) };
    Some(Attributes {
        path,
        domain: text("domain", is_host_text),
        secure: is_set("secure"),
        http_only: !stored.contains_key("httpOnly") || is_set("httpOnly"),
        same_site: stored.get("sameSite").and_then(same_site),
        partitioned: is_set("partitioned"),
        priority: stored.get("priority").and_then(priority),
    })
}

fn same_site(value: &Value) -> Option<SameSite> {
    match value {
        Value::Bool(true) => Some(SameSite::Strict),
        Value::String(text) => match &*text.to_ascii_lowercase() {
            "strict" => Some(SameSite::Strict),
            "lax" => Some(SameSite::Lax),
            "none" => Some(SameSite::None),
            _ => None,
        },
        _ => None,
    }
}

fn priority(value: &Value) -> Option<&'static str> {
    match &*value.as_str()?.to_ascii_lowercase() {
        "low" => Some("Low"),
        "medium" => Some("Medium"),
        "high" => Some("High"),
        _ => None,
    }
}

/// Whether JavaScript takes the value for true.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(it) => *it,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::cookie::SessionCookie;
    use crate::record::Payload;

    /// The cookie that a service with other attributes sends for a session with these.
    fn sent(stored: &'static str) -> String {
        let ours = SessionCookie::new().name("sid").path("/ours").domain("ours.example").partitioned(true);
        let stored = Payload::new(1, stored);
        let set = ours.build().unwrap().set("v", None, Some(&stored));
        set.strip_prefix("sid=v").unwrap().to_owned()
    }

    #[test]
    fn a_session_has_the_attributes_that_express_gave_it_and_no_others() {
        for (stored, attributes) in [
            ("{}", "; HttpOnly; Path=/"),
            (r#"{"path":"/","httpOnly":true}"#, "; HttpOnly; Path=/"),
            (r#"{"path":"/","httpOnly":false,"secure":false}"#, "; Path=/"),
            (r#"{"path":null,"httpOnly":null}"#, ""),
            (r#"{"path":"","httpOnly":0,"secure":"yes"}"#, "; Secure"),
            (r#"{"path":"/shop","domain":"example.com"}"#, "; HttpOnly; Path=/shop; Domain=example.com"),
            (r#"{"sameSite":true}"#, "; HttpOnly; SameSite=Strict; Path=/"),
            (r#"{"sameSite":"Lax","secure":true}"#, "; HttpOnly; SameSite=Lax; Secure; Path=/"),
            (r#"{"sameSite":"none","secure":true}"#, "; HttpOnly; SameSite=None; Secure; Path=/"),
            (r#"{"sameSite":false}"#, "; HttpOnly; Path=/"),
            (r#"{"partitioned":true,"secure":true}"#, "; HttpOnly; Partitioned; Secure; Path=/"),
            (r#"{"priority":"high"}"#, "; HttpOnly; Path=/; Priority=High"),
            (r#"{"priority":"urgent","sameSite":"odd"}"#, "; HttpOnly; Path=/"),
        ] {
            assert_eq!(sent(stored), attributes, "{stored}");
        }
    }

    /// SECURITY 27.
    #[test]
    fn what_has_no_place_in_a_header_is_not_sent() {
        for stored in [
            r#"{"path":"/a\r\nSet-Cookie: b=c","domain":"a.example; Secure"}"#,
            r#"{"path":"/;","domain":"é"}"#,
            r#"{"path":7,"domain":["a"],"sameSite":{},"priority":null}"#,
        ] {
            assert_eq!(sent(stored), "; HttpOnly", "{stored}");
        }
    }

    #[test]
    fn a_removal_is_for_the_same_cookie() {
        let cookie = SessionCookie::new().name("sid").build().unwrap();
        let stored = Payload::new(1, r#"{"path":"/shop","domain":"example.com","priority":"low"}"#);
        assert_eq!(
            cookie.removal(Some(&stored)),
            "sid=; HttpOnly; Path=/shop; Domain=example.com; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; \
             Priority=Low"
        );
        let lasting = cookie.set("v", Some(Duration::from_secs(60)), Some(&stored));
        assert!(lasting.ends_with("; Max-Age=60; Priority=Low"), "{lasting}");
    }
}

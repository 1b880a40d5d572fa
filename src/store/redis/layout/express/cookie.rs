//! The `cookie` object that express-session keeps in each session: what its `Set-Cookie` is made of.

use std::time::Duration;

use cookie::time::OffsetDateTime;
use serde::Serialize;

use super::value::{Members, Object};
use crate::clock::{Timestamp, millis_rounded_up};
use crate::cookie::SessionCookie;
use crate::record::{Payload, Record};
use crate::ttl::Ttl;

const MAX_AGE: &str = "originalMaxAge";
const EXPIRES: &str = "expires";

/// How long connect-redis keeps a session whose cookie ends with the browser, unless the service says otherwise.
const BROWSER_SESSION: Duration = Duration::from_secs(24 * 60 * 60);

/// What of a stored object is kept, and what it says of the session's life; nothing if it is no object. A service that
/// gives out cookies that outlive the browser, as `ours` does, has given this session another if its `maxAge` is `null`
/// or `false`.
pub(super) fn read(json: &str, ours: &SessionCookie, left: Duration, record: &mut Record) -> Option<()> {
    let stored = Members::parse(json.as_bytes())?;
    let max_age = stored.get(MAX_AGE).and_then(|json| millis_of(json.get())).filter(|millis| *millis > 0);
    let max_age = max_age.map(Duration::from_millis);
    if !record.own_expiry {
        // What this crate wrote is the policy's idle timeout; Express lets it drift by a millisecond.
        let is_ours = |max_age: Duration| {
            record.idle_timeout.is_some_and(|idle| idle.abs_diff(max_age) <= Duration::from_millis(1))
        };
        record.own_idle_timeout = max_age.is_some_and(|it| record.own_idle_timeout || !is_ours(it));
        let is_none = stored.get(MAX_AGE).is_some_and(|json| matches!(json.get(), "null" | "false"));
        record.ends_with_browser = ours.persistent && is_none;
        if record.own_idle_timeout {
            record.idle_timeout = max_age;
        } else if record.ends_with_browser {
            record.own_idle_timeout = true;
            record.idle_timeout = Some(BROWSER_SESSION.max(left));
        }
    }
    let kept = if record.own_expiry {
        // What an expiry of the session's own brought about goes with it.
        let mut kept = Object::with_capacity(json.len());
        for (name, json) in stored.iter().filter(|(name, _)| *name != MAX_AGE && *name != EXPIRES) {
            kept.add(name, json.get());
        }
        kept.finish()
    } else {
        json.to_owned()
    };
    record.express_cookie = Some(Box::new(Payload::new(record.data.codec(), kept)));
    Some(())
}

/// The object for a record that is stored at `now`: what Node wrote into it before, or else what `ours`
/// says; with `expires` counted from now.
pub(super) fn object(ours: &SessionCookie, record: &Record, now: Timestamp) -> String {
    let stored = record.express_cookie.as_ref().and_then(|kept| Members::parse(kept.bytes()));
    // A sign-in, or an expiry of the session's own, ends what Express said of its life.
    let known = stored.as_ref().and_then(|stored| stored.get(MAX_AGE));
    let known = known
        .filter(|json| !record.own_expiry && (record.own_idle_timeout || millis_of(json.get()).is_none()));
    let (max_age, millis) = match known {
        Some(json) => (json.get().to_owned(), millis_of(json.get())),
        None => {
            let outlives_browser = ours.persistent || record.own_expiry;
            let life = record.idle_timeout.unwrap_or_else(|| record.expires_at.saturating_since(now));
            let millis = outlives_browser.then(|| Ttl::new(life).as_millis());
            (json(&millis), millis)
        }
    };
    // Years past 9999 have another form.
    let life = |millis| Ttl::new(Duration::from_millis(millis)).as_duration();
    let expires = match millis {
        Some(millis) => json(&iso(now.saturating_add(life(millis)))),
        // Node sends a cookie again whose `expires` is `false`, and not one where it is `null`.
        None => stored
            .as_ref()
            .and_then(|stored| stored.get(EXPIRES))
            .map_or("null", |json| if json.get() == "false" { "false" } else { "null" })
            .to_owned(),
    };

    let same_site = ours.same_site.as_attribute();
    let mut object = Object::new();
    match &stored {
        None => {
            object.add(MAX_AGE, &max_age);
            if ours.partitioned {
                object.add("partitioned", "true");
            }
            object.add(EXPIRES, &expires);
            object.add("secure", &json(&ours.secure));
            object.add("httpOnly", "true");
            if let Some(domain) = &ours.domain {
                object.add("domain", &json(domain));
            }
            object.add("path", &json(&ours.path));
            object.add("sameSite", &json(&same_site.to_string().to_ascii_lowercase()));
        }
        Some(stored) => {
            object.add(MAX_AGE, &max_age);
            object.add(EXPIRES, &expires);
            for (name, json) in stored.iter().filter(|(name, _)| *name != MAX_AGE && *name != EXPIRES) {
                object.add(name, json.get());
            }
        }
    }
    object.finish()
}

/// A number of milliseconds, which in JavaScript may have a fraction: `1.1 * hour`.
fn millis_of(json: &str) -> Option<u64> {
    let millis: f64 = serde_json::from_str(json).ok()?;
    Duration::try_from_secs_f64(millis / 1000.0).ok().map(millis_rounded_up)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and texts have a JSON form")
}

/// As JavaScript's `Date` prints itself in JSON: `2026-11-21T09:22:39.517Z`.
fn iso(time: Timestamp) -> String {
    let time = OffsetDateTime::from(time.to_system_time());
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, milli) = time.to_hms_milli();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_252_959_517);
    const HOUR: Duration = Duration::from_secs(3600);

    fn record() -> Record {
        let data = Payload::new(1, "{}");
        Record { idle_timeout: Some(HOUR), ..Record::new(NOW, NOW.saturating_add(HOUR), data) }
    }

    /// The record of a session with this object.
    fn with_object(json: &str, mut record: Record) -> Record {
        read(json, &SessionCookie::new(), HOUR, &mut record).unwrap();
        record
    }

    fn written(before: &str, own_expiry: bool) -> String {
        let mut record = with_object(before, record());
        if own_expiry {
            record = Record { own_expiry, own_idle_timeout: false, idle_timeout: Some(HOUR), ..record };
        }
        object(&SessionCookie::new(), &record, NOW)
    }

    #[test]
    fn a_new_session_gets_what_express_would_write() {
        let cookie = SessionCookie::new().secure(false);
        assert_eq!(
            object(&cookie, &record(), NOW),
            r#"{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":true,"path":"/","sameSite":"lax"}"#
        );
        let cookie =
            SessionCookie::new().persistent(true).partitioned(true).domain("example.com").path("/app");
        assert_eq!(
            object(&cookie, &record(), NOW),
            r#"{"originalMaxAge":3600000,"partitioned":true,"expires":"2026-11-21T10:22:39.517Z","secure":true,"#.to_owned()
                + r#""httpOnly":true,"domain":"example.com","path":"/app","sameSite":"lax"}"#
        );
    }

    #[test]
    fn what_node_wrote_stays_and_its_end_is_counted_from_now() {
        assert_eq!(
            written(
                r#"{"originalMaxAge":60000,"expires":"2001-01-01T00:00:00.000Z","secure":false,"odd":[1],"priority":"high"}"#,
                false
            ),
            r#"{"originalMaxAge":60000,"expires":"2026-11-21T09:23:39.517Z","secure":false,"odd":[1],"priority":"high"}"#
        );
        assert_eq!(
            written(r#"{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#, false),
            r#"{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}"#
        );
    }

    #[test]
    fn an_expiry_of_the_sessions_own_comes_and_goes() {
        let remembered = written(r#"{"originalMaxAge":60000,"expires":null,"path":"/"}"#, true);
        assert_eq!(
            remembered,
            r#"{"originalMaxAge":3600000,"expires":"2026-11-21T10:22:39.517Z","path":"/"}"#
        );
        let stored = with_object(&remembered, Record { own_expiry: true, ..record() });
        let forgotten = Record { own_expiry: false, ..stored };
        assert_eq!(
            object(&SessionCookie::new(), &forgotten, NOW),
            r#"{"originalMaxAge":null,"expires":null,"path":"/"}"#
        );
    }

    /// "Don't remember me", where the service remembers.
    #[test]
    fn a_cookie_that_ends_with_the_browser_stays_one_where_others_last() {
        let lasting = SessionCookie::new().persistent(true);
        for none in ["null", "false"] {
            let stored = format!(r#"{{"originalMaxAge":{none},"expires":{none},"path":"/"}}"#);
            for (left, idle) in [(HOUR, 24 * HOUR), (30 * HOUR, 30 * HOUR)] {
                let mut record = record();
                read(&stored, &lasting, left, &mut record).unwrap();
                assert!(record.ends_with_browser && record.own_idle_timeout, "{none}");
                assert_eq!(record.idle_timeout, Some(idle));
                assert_eq!(object(&lasting, &record, NOW), stored);
            }
            assert!(!with_object(&stored, record()).ends_with_browser);
        }
        for unknown in ["{}", r#"{"originalMaxAge":60000}"#] {
            let mut record = record();
            read(unknown, &lasting, HOUR, &mut record).unwrap();
            assert!(!record.ends_with_browser, "{unknown}");
        }
    }

    /// `maxAge: 1.1 * 3_600_000`.
    #[test]
    fn a_time_with_a_fraction_has_an_end() {
        assert_eq!(
            written(r#"{"originalMaxAge":3960000.0000000005,"expires":null}"#, false),
            r#"{"originalMaxAge":3960000.0000000005,"expires":"2026-11-21T10:28:39.517Z"}"#
        );
    }

    #[test]
    fn a_max_age_that_is_not_the_policys_is_the_sessions_own() {
        let by_node = Record { idle_timeout: None, ..record() };
        for (record, max_age, own) in [
            (by_node.clone(), "3600000", true),
            (by_node.clone(), "60000", true),
            (by_node.clone(), "null", false),
            (by_node, "0", false),
            (record(), "3600000", false),
            (record(), "3599999", false),
            (record(), "60000", true),
            (record(), "null", false),
            (Record { own_idle_timeout: true, ..record() }, "3600000", true),
            (Record { own_idle_timeout: true, ..record() }, "60000", true),
            (Record { own_idle_timeout: true, ..record() }, "null", false),
            (Record { own_expiry: true, ..record() }, "60000", false),
        ] {
            let record = with_object(&format!(r#"{{"originalMaxAge":{max_age}}}"#), record);
            assert_eq!(record.own_idle_timeout, own, "{max_age}");
            if own {
                let millis = record.idle_timeout.unwrap().as_millis();
                assert_eq!(millis.to_string(), max_age);
            }
        }
        // A sign-in here starts under the policy.
        let signed_in = with_object(r#"{"originalMaxAge":60000}"#, record());
        let signed_in = Record { own_idle_timeout: false, idle_timeout: Some(HOUR), ..signed_in };
        assert_eq!(
            object(&SessionCookie::new().persistent(true), &signed_in, NOW),
            r#"{"originalMaxAge":3600000,"expires":"2026-11-21T10:22:39.517Z"}"#
        );
    }

    #[test]
    fn odd_values_of_the_times_do_no_harm() {
        for odd in [
            "-1",
            "18446744073709551615",
            "1e400",
            "1.5",
            "\"soon\"",
            "[]",
            "{}",
            "true",
            "99999999999999999999",
        ] {
            let before = format!(r#"{{"originalMaxAge":{odd},"expires":7}}"#);
            let cookie = written(&before, false);
            assert!(cookie.starts_with(&format!(r#"{{"originalMaxAge":{odd},"expires":"#)), "{cookie}");
        }
    }
}

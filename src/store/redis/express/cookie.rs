//! The `cookie` object that express-session keeps in each session: what its `Set-Cookie` is made of.

use std::time::Duration;

use bytes::Bytes;
use cookie::time::OffsetDateTime;
use serde::Serialize;

use super::value::{Members, Object};
use crate::clock::{Timestamp, millis_rounded_up};
use crate::cookie::SessionCookie;
use crate::record::Record;
use crate::ttl::Ttl;

const MAX_AGE: &str = "originalMaxAge";
const EXPIRES: &str = "expires";

/// The members of a stored object that are to be kept. Those that an expiry of the session's own
/// brought about go with it.
pub(super) fn kept(stored: &Members<'_>, own_expiry: bool) -> Bytes {
    let mut kept = Object::new();
    for (name, json) in stored.iter() {
        if !own_expiry || (name != MAX_AGE && name != EXPIRES) {
            kept.add(name, json.get());
        }
    }
    kept.finish().into()
}

/// The object for a record that is stored at `now`: what Node wrote into it before, or else what `ours`
/// says; with `expires` counted from now.
pub(super) fn object(ours: &SessionCookie, record: &Record, now: Timestamp) -> String {
    let stored = record.express_cookie.as_deref().and_then(Members::parse);
    let known = stored.as_ref().and_then(|stored| stored.get(MAX_AGE)).filter(|_| !record.own_expiry);
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
    let expires = json(&millis.map(|millis| iso(now.saturating_add(life(millis)))));

    let same_site = cookie::SameSite::from(ours.same_site);
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
    use crate::record::Payload;

    const NOW: Timestamp = Timestamp::from_millis(1_795_252_959_517);
    const HOUR: Duration = Duration::from_secs(3600);

    fn record() -> Record {
        let data = Payload { codec: 1, bytes: "{}".into() };
        Record { idle_timeout: Some(HOUR), ..Record::new(NOW, NOW.saturating_add(HOUR), data) }
    }

    fn written(before: &str, own_expiry: bool) -> String {
        let stored = Members::parse(before.as_bytes()).unwrap();
        let record = Record { own_expiry, express_cookie: Some(kept(&stored, false)), ..record() };
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
        let stored = Members::parse(remembered.as_bytes()).unwrap();
        let forgotten = Record { express_cookie: Some(kept(&stored, true)), ..record() };
        assert_eq!(
            object(&SessionCookie::new(), &forgotten, NOW),
            r#"{"originalMaxAge":null,"expires":null,"path":"/"}"#
        );
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

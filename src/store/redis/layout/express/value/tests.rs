use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::SessionId;
use crate::record::Owner;

const NOW: Timestamp = Timestamp::from_millis(1_795_252_959_517);
const LATER: Timestamp = Timestamp::from_millis(1_795_256_559_517);

fn key() -> SessionKey {
    SessionId::express("hello").unwrap().key()
}

fn facts() -> Facts {
    let revision = Revision::from_bytes(*b"revision").unwrap();
    Facts { revision, previous_revision: None, expires_at: LATER }
}

fn read(value: &[u8]) -> Result<Record, Error> {
    super::read(&key(), value, &SessionCookie::new(), facts(), NOW)
}

fn write(record: &Record) -> Result<String, Error> {
    super::write(&key(), record, &SessionCookie::new().secure(false), NOW)
}

/// As a script does.
fn sealed(value: String) -> String {
    value + &"0".repeat(SEAL_LENGTH) + "\"}"
}

fn data(json: &str) -> Payload {
    Payload::new(1, json.to_owned())
}

const BY_NODE: &str = r#"{"cookie":{"originalMaxAge":60000,"expires":"2026-11-21T09:22:39.517Z","secure":false,"httpOnly":true,"path":"/","sameSite":"lax"},"user":"ada","cart":[]}"#;

#[test]
fn a_session_of_node_is_read() {
    let record = read(BY_NODE.as_bytes()).unwrap();
    assert_eq!(record.data, data(r#"{"user":"ada","cart":[]}"#));
    assert_eq!((record.created_at, record.expires_at), (NOW, LATER));
    assert_eq!((record.owner, record.own_expiry, record.absolute_deadline), (None, false, None));
    // What connect-redis writes at the least.
    assert_eq!(read(br#"{"cookie":{}}"#).unwrap().data, data("{}"));
}

#[test]
fn the_value_is_frozen() {
    let revision = Revision::from_bytes(*b"revision").unwrap();
    let record = Record { revision, ..read(BY_NODE.as_bytes()).unwrap() };
    let members = BY_NODE.replace("09:22:39", "09:23:39");
    // Both revisions; flags, the session, when it began and ends, its idle timeout.
    let member = concat!("cmV2aXNpb24", "AAAAAAAAAAA", "IoQKSIad8qjrnzSA3dsB4NQD");
    let expected = format!(r#"{},"__session_store":"{member}"#, &members[..members.len() - 1]);
    assert_eq!(write(&record).unwrap(), expected);
}

#[test]
fn all_that_this_crate_knows_survives() {
    let record = Record {
        created_at: Timestamp::from_millis(1),
        idle_timeout: Some(Duration::from_millis(7)),
        absolute_deadline: Some(Timestamp::from_millis(u64::MAX)),
        own_expiry: true,
        owner: Some(Owner::new("é\"\\".repeat(60)).unwrap()),
        ..Record::new(NOW, LATER, data(r#"{"a":{"b":[1.0,"x"]},"né\"":null}"#))
    };
    let back = read(sealed(write(&record).unwrap()).as_bytes()).unwrap();
    let expected = Record {
        revision: facts().revision,
        express_cookie: back.express_cookie.clone(),
        written: back.written.clone(),
        ..record
    };
    assert_eq!(back, expected);
}

#[test]
fn members_of_names_that_node_has_for_something_else_are_refused_with_the_reason() {
    for name in TAKEN.iter().chain(&[COOKIE, OURS]) {
        let record = Record::new(NOW, LATER, data(&format!(r#"{{"fine":1,"{name}":2}}"#)));
        let error = write(&record).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}")) && error.contains("serde(rename)"), "{error}");
        // However JSON spells it.
        let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
        let record = Record::new(NOW, LATER, data(&format!(r#"{{"{escaped}":2}}"#)));
        assert!(write(&record).is_err(), "{escaped}");
        // One that is there already is not seen, as in Node, and so does not come into the way.
        if *name != COOKIE && *name != OURS {
            let value = BY_NODE.replace("\"user\"", &format!("\"{name}\""));
            assert_eq!(read(value.as_bytes()).unwrap().data, data(r#"{"cart":[]}"#));
        }
    }
    // Below the top level, any name will do.
    assert!(write(&Record::new(NOW, LATER, data(r#"{"fine":{"save":1,"cookie":2}}"#))).is_ok());
}

#[test]
fn what_node_cannot_keep_is_refused() {
    for json in ["1", "[1]", "null", "\"text\"", "", "{", "{}x"] {
        assert!(matches!(write(&Record::new(NOW, LATER, data(json))), Err(Error::Encode { .. })), "{json}");
    }
    let other_codec = Payload::new(2, "{}");
    let error = write(&Record::new(NOW, LATER, other_codec)).unwrap_err().to_string();
    assert!(error.contains("Codec::Json"), "{error}");
    let large = data(&format!(r#"{{"text":"{}"}}"#, "x".repeat(MAX_LENGTH)));
    assert!(matches!(write(&Record::new(NOW, LATER, large)), Err(Error::TooLarge { limit: MAX_LENGTH, .. })));
}

#[test]
fn the_longest_value_that_is_written_is_read() {
    let room = MAX_LENGTH - sealed(write(&Record::new(NOW, LATER, data(r#"{"text":""}"#))).unwrap()).len();
    let fits = Record::new(NOW, LATER, data(&format!(r#"{{"text":"{}"}}"#, "x".repeat(room))));
    assert_eq!(sealed(write(&fits).unwrap()).len(), MAX_LENGTH);
    let exceeds = Record::new(NOW, LATER, data(&format!(r#"{{"text":"{}"}}"#, "x".repeat(room + 1))));
    assert!(write(&exceeds).is_err());
}

/// SECURITY 27.
#[test]
fn what_is_no_session_is_unreadable() {
    for value in [
        &b""[..],
        b"not json",
        b"null",
        b"1",
        b"[]",
        b"{}",
        br#"{"user":"ada"}"#,
        br#"{"cookie":null}"#,
        br#"{"cookie":1}"#,
        br#"{"cookie":"x"}"#,
        br#"{"cookie":[]}"#,
        br#"{"cookie":{},"user":"ada"}x"#,
        br#"{"cookie":{},"user":"ada""#,
        b"{\"cookie\":{},\"user\":\"\xff\xfe\"}",
        b"{\"cookie\":{},\"\xff\":1}",
        b"\xa1\x00binary",
        br#"{"cookie":{},"__session_store":1}"#,
        br#"{"cookie":{},"__session_store":""}"#,
        br#"{"cookie":{},"__session_store":"zz00000000000000000000000000000000000000000"}"#,
        br#"{"cookie":{},"__session_store":"a10000000000000000000000000000000000000000"}"#,
    ] {
        let read = read(value);
        let shown = String::from_utf8_lossy(value);
        assert!(matches!(read, Err(Error::Unreadable { .. })), "{shown}: {read:?}");
    }
}

#[test]
fn of_a_member_that_comes_twice_the_last_counts() {
    let value = br#"{"cookie":1,"user":"ada","n":1,"cookie":{},"user":"bob"}"#;
    assert_eq!(read(value).unwrap().data, data(r#"{"user":"bob","n":1}"#));
}

proptest! {
    /// SECURITY 27.
    #[test]
    fn hostile_values_never_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&value);
    }

    #[test]
    fn what_is_written_is_read(text in ".*", number in any::<i64>()) {
        let json = serde_json::json!({ "text": text, "number": number }).to_string();
        let record = Record::new(NOW, LATER, data(&json));
        let value = sealed(write(&record).unwrap());
        prop_assert_eq!(read(value.as_bytes()).unwrap().data, record.data);
    }
}

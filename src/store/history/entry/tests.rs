use super::*;
use crate::SessionId;
use proptest::prelude::*;

fn key() -> SessionKey {
    SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap().key()
}

fn golden_entry() -> HistoryEntry {
    let (at, began) = (Timestamp::from_millis(0x1112_1314_1516), Timestamp::from_millis(0x0102_0304_0506));
    HistoryEntry {
        label: Some(Label::new("phone").unwrap()),
        ..HistoryEntry::new(at, HistoryEvent::SignedIn, key(), began)
    }
}

/// The digest is that of `storage_names_are_frozen_and_read_back`, in hexadecimal.
const GOLDEN: &[u8] = b"\xC1\x01\0\0\x11\x12\x13\x14\x15\x16\0\0\x01\x02\x03\x04\x05\x06\0\0\0\
    \xE6\x89\x26\x19\x93\xA7\xA9\x36\x1A\x69\x9F\xEF\x9E\x24\xC2\xFE\x84\x87\x2C\xE1\x8A\0\x05phone";

#[test]
fn the_bytes_of_an_entry_are_frozen() {
    assert_eq!(golden_entry().to_bytes(), GOLDEN);
    assert_eq!(HistoryEntry::from_bytes(GOLDEN), Some(golden_entry()));
    let plain = HistoryEntry { label: None, ..golden_entry() };
    assert_eq!(plain.to_bytes(), [&GOLDEN[..42], b"\0\0"].concat());
    assert_eq!(HistoryEntry::from_bytes(&plain.to_bytes()), Some(plain));
}

#[test]
fn a_sealed_label_is_a_field_of_its_own() {
    let sealed = HistoryEntry { label: None, sealed_label: Some(b"abc".as_slice().into()), ..golden_entry() };
    let bytes = [&GOLDEN[..42], b"\0\0\x01\0\x03abc"].concat();
    assert_eq!(sealed.to_bytes(), bytes);
    assert_eq!(HistoryEntry::from_bytes(&bytes), Some(sealed));
}

#[test]
fn what_later_versions_add_is_passed_over() {
    let longer = [GOLDEN, b"\x07\0\x03abc\xFF\0\0"].concat();
    assert_eq!(HistoryEntry::from_bytes(&longer), Some(golden_entry()));
    let mut other = GOLDEN.to_vec();
    other[1] = 99;
    let unknown = HistoryEntry { what: HistoryEvent::Unknown(99), ..golden_entry() };
    assert_eq!(HistoryEntry::from_bytes(&other), Some(unknown.clone()));
    assert_eq!(unknown.to_bytes(), other, "it is kept");
    assert_eq!(unknown.what.to_string(), "unknown event 99");
    other[0] = 0xC2;
    assert_eq!(HistoryEntry::from_bytes(&other), None, "a format of its own");
}

#[test]
fn what_is_cut_short_is_no_entry() {
    for length in 0..GOLDEN.len() {
        assert_eq!(HistoryEntry::from_bytes(&GOLDEN[..length]), None, "{length}");
    }
    for rest in [&b"\x01"[..], b"\x01\0", b"\x01\0\x02a"] {
        assert_eq!(HistoryEntry::from_bytes(&[GOLDEN, rest].concat()), None, "{rest:?}");
    }
}

#[test]
fn codes_are_frozen() {
    let codes: Vec<_> = ALL.iter().map(|event| (event.code(), event.as_str())).collect();
    let expected = [
        (1, "signedIn"),
        (2, "confirmed"),
        (3, "signedOut"),
        (4, "revoked"),
        (5, "evicted"),
        (6, "expired"),
        (7, "deviceBound"),
        (8, "deviceLost"),
        (9, "ownerNamed"),
        (10, "replaced"),
        (11, "deviceRefused"),
    ];
    assert_eq!(codes, expected);
}

/// SECURITY 21: a label may be an address.
#[test]
fn debug_shows_no_label() {
    let shown = format!("{:?}", golden_entry());
    assert!(!shown.contains("phone") && shown.contains(key().to_string().as_str()), "{shown}");
}

prop_compose! {
    fn any_entry()(
        times in any::<[u64; 2]>(),
        code in any::<u8>(),
        label in proptest::option::of("[^\0]{1,64}"),
        sealed in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
    ) -> HistoryEntry {
        HistoryEntry {
            at: Timestamp::from_millis(times[0]),
            what: HistoryEvent::from_code(code),
            session: SessionId::generate().key(),
            began: Timestamp::from_millis(times[1]),
            label: label.map(|text| Label::new(text).unwrap()),
            sealed_label: sealed.map(Bytes::from),
        }
    }
}

proptest! {
    #[test]
    fn every_entry_survives_its_bytes(entry in any_entry()) {
        prop_assert_eq!(HistoryEntry::from_bytes(&entry.to_bytes()), Some(entry));
    }

    /// SECURITY 27.
    #[test]
    fn hostile_bytes_are_no_entry_and_never_a_panic(
        format in prop_oneof![Just(0xC1_u8), any::<u8>()],
        head in proptest::collection::vec(any::<u8>(), 0..50),
        tail in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [&[format], &head[..], &tail].concat();
        if let Some(entry) = HistoryEntry::from_bytes(&bytes) {
            // What is understood comes first, but for a sealed label, which stands among the fields; the rest was passed
            // over.
            let head = HistoryEntry { sealed_label: None, ..entry.clone() }.to_bytes();
            prop_assert!(bytes.starts_with(&head));
            prop_assert!(entry.to_bytes().len() <= bytes.len());
            prop_assert_eq!(HistoryEntry::from_bytes(&entry.to_bytes()), Some(entry));
        }
    }
}

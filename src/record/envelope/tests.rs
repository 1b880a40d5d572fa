use super::*;
use crate::SessionId;
use proptest::prelude::*;

fn key() -> SessionKey {
    SessionId::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap().key()
}

fn golden_record() -> Record {
    Record {
        created_at: Timestamp::from_millis(0x0102_0304_0506),
        expires_at: Timestamp::from_millis(0x1112_1314_1516),
        idle_timeout: Some(Duration::from_millis(0x2122_2324)),
        absolute_deadline: Some(Timestamp::from_millis(0x3132_3334_3536)),
        own_expiry: true,
        own_idle_timeout: false,
        ends_with_browser: false,
        owner: Some(Owner::new("ada").unwrap()),
        label: None,
        extensions: Extensions::default(),
        revision: Revision(*b"revision"),
        previous_revision: Some(Revision(*b"previous")),
        data: Payload::new(1, Bytes::from_static(b"{}")),
        express_cookie: None,
        written: None,
        #[cfg(feature = "json")]
        at_rest: None,
    }
}

#[test]
fn the_record_envelope_is_frozen() {
    let golden: &[u8] = b"\xA1\x01revisionprevious\
        \0\0\x11\x12\x13\x14\x15\x16\0\0\x01\x02\x03\x04\x05\x06\
        \0\0\0\0\x21\x22\x23\x24\0\0\x31\x32\x33\x34\x35\x36\0\x03ada\x01{}";
    assert_eq!(golden_record().to_bytes(), golden);
    let read = Envelope::from_bytes(&key(), Bytes::from_static(golden)).unwrap();
    assert_eq!(read, Envelope::Record(golden_record()));
}

#[test]
fn a_label_stands_behind_the_owner() {
    let record = Record { label: Some(Label::new("phone").unwrap()), ..golden_record() };
    let golden: &[u8] = b"\xA1\x05revisionprevious\
        \0\0\x11\x12\x13\x14\x15\x16\0\0\x01\x02\x03\x04\x05\x06\
        \0\0\0\0\x21\x22\x23\x24\0\0\x31\x32\x33\x34\x35\x36\0\x03ada\x05phone\x01{}";
    assert_eq!(record.to_bytes(), golden);
    let read = Envelope::from_bytes(&key(), Bytes::from_static(golden)).unwrap();
    assert_eq!(read, Envelope::Record(record));
}

#[test]
fn extensions_stand_before_the_codec() {
    let entries = b"\x02\0\x03abc\x7F\0\0";
    let record = Record {
        label: Some(Label::new("phone").unwrap()),
        extensions: Extensions::from_bytes(&key(), entries).unwrap(),
        ..golden_record()
    };
    let golden: &[u8] = b"\xA1\x0Drevisionprevious\
        \0\0\x11\x12\x13\x14\x15\x16\0\0\x01\x02\x03\x04\x05\x06\
        \0\0\0\0\x21\x22\x23\x24\0\0\x31\x32\x33\x34\x35\x36\0\x03ada\x05phone\
        \0\x09\x02\0\x03abc\x7F\0\0\x01{}";
    assert_eq!(record.to_bytes(), golden);
    assert_eq!(record.extensions.as_bytes(), entries);
    let read = Envelope::from_bytes(&key(), Bytes::from_static(golden)).unwrap();
    assert_eq!(read, Envelope::Record(record.clone()));
    assert!(!format!("{record:?}").contains("abc"));
}

#[test]
fn extensions_that_are_none_are_refused() {
    let read = |entries: &[u8]| Extensions::from_bytes(&key(), entries).map(|it| it.as_bytes().to_vec());
    let corrupt = |entries: &[u8]| matches!(read(entries), Err(Error::Corrupt { .. }));
    assert_eq!(read(b"").unwrap(), b"");
    assert!(corrupt(b"\x01"), "no length");
    assert!(corrupt(b"\x01\0"), "half a length");
    assert!(corrupt(b"\x01\0\x02a"), "cut short");
    assert!(corrupt(b"\x01\0\x01ab"), "a rest");
    let mut longest = vec![0; Extensions::MAX_LENGTH];
    longest[..3].copy_from_slice(&[1, 3, 0xFD]);
    assert_eq!(read(&longest).unwrap(), longest);
    longest.push(0);
    assert!(corrupt(&longest), "too long");
    // The high bit of a tag: whoever does not know it must not use the session.
    for entries in [&b"\x80\0\0"[..], b"\x01\0\x01a\xFF\0\x01b"] {
        assert!(matches!(read(entries), Err(Error::NewerFormat { format: 0xA1, .. })), "{entries:?}");
    }
    let empty = [&golden_record().to_bytes()[..55], b"\0\0\x01{}"].concat();
    let with_flag = |flag| Envelope::from_bytes(&key(), [&[0xA1, flag], &empty[2..]].concat().into());
    assert!(matches!(with_flag(9), Err(Error::Corrupt { .. })), "an empty block");
}

#[test]
fn the_marker_envelope_is_frozen() {
    let marker = Moved::new(key(), &golden_record(), Revision(*b"replaced"));
    let golden = [b"\xB1\0revisionreplaced".as_slice(), key().storage_name().as_bytes()].concat();
    assert_eq!(marker.to_bytes(), golden);
    let read = Envelope::from_bytes(&key(), golden.into()).unwrap();
    assert_eq!(read, Envelope::Moved(marker));
}

#[test]
fn overhead_without_owner_is_at_most_56_bytes() {
    let record = Record { owner: None, ..golden_record() };
    assert_eq!(record.to_bytes().len() - record.data.bytes().len(), 53);
}

#[test]
fn newer_envelopes_are_told_apart_from_corrupt_ones() {
    let bytes = golden_record().to_bytes();
    let with = |offset: usize, value: u8| {
        let mut changed = bytes.clone();
        changed[offset] = value;
        Envelope::from_bytes(&key(), changed.into()).unwrap_err()
    };
    assert!(matches!(with(0, 0xA2), Error::NewerFormat { format: 0xA2, .. }));
    assert!(matches!(with(1, 0x21), Error::NewerFormat { format: 0xA1, .. }));
    assert!(matches!(with(1, 0x81), Error::NewerFormat { format: 0xA1, .. }));
    assert!(matches!(with(0, b'{'), Error::Corrupt { .. }));
    for length in 0..FIXED_LENGTH + 4 {
        let cut = Bytes::copy_from_slice(&bytes[..length]);
        let error = Envelope::from_bytes(&key(), cut).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{length}: {error}");
    }
}

/// SECURITY 21: the owner is personal data, the payload may be anything.
#[test]
fn debug_shows_neither_owner_nor_data() {
    let mut record = golden_record();
    record.data = Payload::new(record.data.codec(), Bytes::from_static(b"hunter2"));
    let shown = format!("{record:?}");
    assert!(!shown.contains("ada") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn owners_are_bounded() {
    assert!(Owner::new("x".repeat(Owner::MAX_LENGTH)).is_ok());
    let error = Owner::new("x".repeat(Owner::MAX_LENGTH + 1)).unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }) && error.to_string().contains("the limit is 256"));
}

fn entries(entries: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let entry = |(tag, value): &(u8, Vec<u8>)| {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[*tag], &length[..], value].concat()
    };
    entries.iter().flat_map(entry).collect()
}

prop_compose! {
    fn any_record()(
        times in any::<[u64; 2]>(),
        idle in proptest::option::of(1..u64::MAX),
        deadline in proptest::option::of(1..u64::MAX),
        own_expiry in any::<bool>(),
        own_idle_timeout in any::<bool>(),
        owner in proptest::option::of("[^\0]{1,40}"),
        label in proptest::option::of("[^\0]{1,16}"),
        previous in any::<[u8; 8]>(),
        extensions in proptest::collection::vec((0_u8..128, proptest::collection::vec(any::<u8>(), 0..40)), 0..4),
        codec in any::<u8>(),
        data in proptest::collection::vec(any::<u8>(), 0..200),
    ) -> Record {
        Record {
            created_at: Timestamp::from_millis(times[0]),
            expires_at: Timestamp::from_millis(times[1]),
            idle_timeout: idle.map(Duration::from_millis),
            absolute_deadline: deadline.map(Timestamp::from_millis),
            own_expiry,
            own_idle_timeout,
            ends_with_browser: own_idle_timeout && times[0] % 2 == 1,
            owner: owner.map(|name| Owner::new(name).unwrap()),
            label: label.map(|text| Label::new(text).unwrap()),
            extensions: Extensions::from_bytes(&key(), &entries(&extensions)).unwrap(),
            revision: Revision::fresh(),
            previous_revision: Revision::from_bytes(previous),
            data: Payload::new(codec, data),
            express_cookie: None,
            written: None,
            #[cfg(feature = "json")]
            at_rest: None,
        }
    }
}

proptest! {
    #[test]
    fn every_record_survives_the_envelope(record in any_record()) {
        let read = Envelope::from_bytes(&key(), record.to_bytes().into()).unwrap();
        prop_assert_eq!(read, Envelope::Record(record));
    }

    /// SECURITY 27.
    #[test]
    fn hostile_bytes_are_an_error_and_never_a_panic(
        format in prop_oneof![Just(0xA1_u8), Just(0xB1), any::<u8>()],
        flags in prop_oneof![Just(0_u8), Just(8), any::<u8>()],
        tail in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = vec![format, flags];
        bytes.extend(tail);
        // What is accepted is understood whole: it encodes to the same bytes again.
        match Envelope::from_bytes(&key(), bytes.clone().into()) {
            Ok(Envelope::Record(record)) => prop_assert_eq!(record.to_bytes(), bytes),
            Ok(Envelope::Moved(marker)) => prop_assert_eq!(marker.to_bytes(), bytes),
            Err(error) => {
                let expected = matches!(error, Error::Corrupt { .. } | Error::NewerFormat { .. });
                prop_assert!(expected, "{error}");
            }
        }
    }
}

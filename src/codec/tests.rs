use super::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Profile {
    name: String,
    height: f64,
    tags: Vec<Option<u32>>,
    by_number: BTreeMap<u32, String>,
}

fn profile() -> Profile {
    Profile {
        name: "Ada".into(),
        height: 1.65,
        tags: vec![Some(1), None],
        by_number: [(7, "seven".to_owned())].into(),
    }
}

pub(super) fn codecs() -> Vec<Codec> {
    vec![
        Codec::Json,
        #[cfg(feature = "messagepack")]
        Codec::MessagePack,
        #[cfg(feature = "bincode")]
        Codec::Bincode,
    ]
}

#[test]
fn every_codec_gives_back_what_it_got() {
    for codec in codecs() {
        let payload = codec.encode(&profile()).unwrap();
        assert_eq!(Codec::decode(&payload), Ok(profile()), "{codec:?}");
    }
}

#[test]
fn numbers_that_json_lacks_are_refused() {
    for codec in codecs() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let data = Profile { height: wrong, ..profile() };
            let error = codec.encode(&data).unwrap_err();
            assert!(matches!(error, Error::Encode { .. }), "{codec:?} {wrong}: {error}");
            assert!(codec.encode(&Some([(1, Some(wrong))])).is_err());
            assert!(codec.encode(&BTreeMap::from([("deep", vec![wrong])])).is_err());
        }
    }
    assert!(Codec::Json.encode(&f32::NAN).is_err());
}

#[test]
fn what_json_has_no_form_for_is_refused() {
    let deep = (0..200).fold(Value::Null, |inner, _| Value::from(vec![inner]));
    for codec in codecs() {
        for refused in [
            codec.encode(&BTreeMap::from([((1, 2), 3)])),
            codec.encode(&BTreeMap::from([(Some([1]), 3)])),
            codec.encode(&u128::MAX),
            codec.encode(&i128::MIN),
            codec.encode(&deep),
        ] {
            assert!(matches!(refused, Err(Error::Encode { .. })), "{codec:?}: {refused:?}");
        }
        assert!(codec.encode(&(u128::from(u64::MAX), i128::from(i64::MIN))).is_ok());
    }
}

#[test]
fn what_is_accepted_can_be_read_again_at_any_depth() {
    let nested = |depth| (0..depth).fold(Value::Null, |inner, _| Value::from(vec![inner]));
    for codec in codecs().into_iter().filter(|codec| codec.tag() != 3) {
        let payload = codec.encode(&nested(120)).unwrap();
        assert_eq!(Codec::decode(&payload), Ok(nested(120)), "{codec:?}");
        assert!(codec.encode(&nested(121)).is_err());
    }
}

/// What a rolling deploy does: one version adds a field, the other doesn't know it.
#[test]
fn self_describing_codecs_tolerate_added_and_removed_fields() {
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Newer {
        name: String,
        #[serde(default)]
        locale: String,
    }
    for codec in codecs().into_iter().filter(|c| c.tag() != 3) {
        let newer: Newer = Codec::decode(&codec.encode(&profile()).unwrap()).unwrap();
        assert_eq!(newer, Newer { name: "Ada".into(), locale: String::new() }, "{codec:?}");
    }
}

#[test]
fn what_follows_the_data_makes_it_unreadable() {
    for codec in codecs() {
        let payload = codec.encode(&profile()).unwrap();
        // In MessagePack: a number, and lists and a map that are cut off.
        for rest in [&[1][..], &[0x91], &[0x81], &[0x91, 0x91], &[0xdc, 0, 1]] {
            let longer = Payload::new(codec.tag(), [payload.bytes(), rest].concat());
            assert!(Codec::decode::<Profile>(&longer).is_err(), "{codec:?}, {rest:x?}");
        }
    }
}

#[cfg(feature = "bincode")]
#[test]
fn bincode_refuses_what_does_not_fit_exactly() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Shorter {
        name: String,
    }
    let payload = Codec::Bincode.encode(&profile()).unwrap();
    assert!(Codec::decode::<Shorter>(&payload).is_err());
    let payload = Codec::Bincode.encode(&Shorter { name: "Ada".into() }).unwrap();
    assert!(Codec::decode::<Profile>(&payload).is_err());
}

/// What is held decoded takes its room from a bound: what encodes small may take much.
#[cfg(feature = "memory")]
#[test]
fn sizes_in_memory_count_places_and_texts() {
    #[derive(Clone, Serialize)]
    struct Empty {
        place: Option<[u64; 32]>,
    }
    let empty = vec![Empty { place: None }; 100];
    assert!(super::size_in_memory(&empty) >= 100 * size_of::<Empty>());
    let text = "x".repeat(5000);
    assert!(super::size_in_memory(&text) >= 5000);
    assert!(super::size_in_memory(&BTreeMap::from([(text, 1)])) >= 5000);
    assert!(super::size_in_memory(&f64::NAN) > 1 << 40, "never held: there is no telling");
}

/// SECURITY 21 and 27.
#[test]
fn broken_data_is_an_error_that_does_not_quote_it() {
    for tag in 0..=4 {
        for bytes in
            [&b""[..], b"{\"name\":\"hunter2\"}", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"{} trailing"]
        {
            let payload = Payload::new(tag, bytes);
            let reason = Codec::decode::<Profile>(&payload).unwrap_err();
            assert!(!reason.contains("hunter2"));
        }
    }
}

//! SECURITY 27 for data: no stack, memory or time beyond a bound, whatever the bytes say.
//!
//! Test threads have 2 MiB of stack, as tokio's workers do. In a debug build, which needs the most of it,
//! a test that fails here takes the whole process along.

use std::collections::{BTreeMap, LinkedList};
use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::codec::{Codec, json_form::MAX_WRAPPERS};
use crate::error::Error;
use crate::record::Payload;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Link {
    next: Option<Box<Link>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Boxed(Box<Tree>),
    Listed(Vec<Tree>),
    Paired(Box<Tree>, u8),
    Named { child: Box<Tree> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Lists(Vec<Lists>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Maps(BTreeMap<u8, Maps>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    List(Vec<Untagged>),
    Map(BTreeMap<String, Untagged>),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    End,
    Next { next: Box<Tagged> },
}

fn codecs() -> Vec<Codec> {
    super::super::tests::codecs()
}

/// Bytes that nest one step in another.
fn nested() -> Vec<Vec<u8>> {
    let steps: [&[u8]; 22] = [
        b"[",
        b"{\"\":",
        b"{\"next\":",
        b"{\"Boxed\":",
        b"{\"Listed\":[",
        b"{\"Paired\":[",
        b"{\"Named\":{\"child\":",
        b"{\"kind\":\"Next\",\"next\":",
        b"{\"1\":",
        // MessagePack: lists of one element in three lengths, maps, variants by name and by number.
        &[0x91],
        &[0xdc, 0, 1],
        &[0xdd, 0, 0, 0, 1],
        &[0x81, 0],
        b"\x81\xa0",
        b"\x81\xa4next",
        b"\x81\xa5Boxed",
        b"\x81\xa6Listed\x91",
        b"\x81\xa5Named\x81\xa5child",
        b"\x82\xa4kind\xa4Next\xa4next",
        // bincode: Some or Boxed or a list of one, Listed with one, a map of one.
        &[1],
        &[2, 1],
        &[1, 1],
    ];
    let all_bytes = (0..=255).map(|byte| vec![byte]);
    all_bytes.chain(steps.map(<[u8]>::to_vec)).map(|step| step.repeat(20_000)).collect()
}

fn try_all<T: DeserializeOwned + Debug>(tag: u8, data: &[Vec<u8>]) {
    for bytes in data {
        // Where it fits the type, it is no deeper than what is written.
        drop(Codec::decode::<T>(&Payload::new(tag, bytes.clone())));
    }
}

#[test]
fn no_nesting_overflows_the_stack() {
    let attack = || {
        let nested = nested();
        for codec in codecs() {
            let tag = codec.tag();
            try_all::<Chain>(tag, &nested);
            try_all::<Link>(tag, &nested);
            try_all::<Tree>(tag, &nested);
            try_all::<Lists>(tag, &nested);
            try_all::<Maps>(tag, &nested);
            try_all::<Untagged>(tag, &nested);
            try_all::<Tagged>(tag, &nested);
            try_all::<Value>(tag, &nested);
            try_all::<crate::Values>(tag, &nested);
            // A type that doesn't know a member skips what is in it.
            try_all::<BTreeMap<String, Option<serde::de::IgnoredAny>>>(tag, &nested);
        }
    };
    // Half of what a worker has, the other half being the application's.
    thread::Builder::new().stack_size(1 << 20).spawn(attack).unwrap().join().unwrap();
}

/// A tree of each step, `depth` steps deep.
fn trees(depth: usize) -> [Tree; 4] {
    let grow = |step: fn(Tree) -> Tree| (0..depth).fold(Tree::Leaf, |inner, _| step(inner));
    [
        grow(|inner| Tree::Boxed(Box::new(inner))),
        grow(|inner| Tree::Listed(vec![inner])),
        grow(|inner| Tree::Paired(Box::new(inner), 1)),
        grow(|inner| Tree::Named { child: Box::new(inner) }),
    ]
}

fn expect_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(codec: Codec, data: &T) {
    match codec.encode(data) {
        Ok(payload) => assert_eq!(Codec::decode::<T>(&payload).as_ref(), Ok(data), "{codec:?}"),
        Err(error) => assert!(matches!(error, Error::Encode { .. }), "{codec:?}: {error}"),
    }
}

#[test]
fn what_is_written_can_be_read_whatever_it_is_nested_in() {
    for codec in codecs() {
        for depth in [1, 59, 60, 61, 119, 120, 121, 122, 130, 239, 240, 241, 242] {
            for tree in trees(depth) {
                expect_back(codec, &tree);
            }
            expect_back(
                codec,
                &(0..depth).fold(Link { next: None }, |inner, _| Link { next: Some(inner.into()) }),
            );
            expect_back(codec, &(0..depth).fold(Lists(vec![]), |inner, _| Lists(vec![inner])));
            expect_back(codec, &(0..depth).fold(Maps([].into()), |inner, _| Maps([(1, inner)].into())));
        }
        let [boxed, ..] = trees(120);
        assert!(codec.encode(&boxed).is_ok(), "120 levels");
        let link = (0..119).fold(Link { next: None }, |inner, _| Link { next: Some(inner.into()) });
        assert!(codec.encode(&link).is_ok(), "an option takes no level");
    }
}

#[test]
fn options_and_newtypes_alone_are_bounded_when_written_too() {
    let chain = |length: u8| (0..length).fold(Chain(None), |inner, _| Chain(Some(Box::new(inner))));
    for codec in codecs() {
        let longest = (MAX_WRAPPERS - 1) / 2;
        let error = codec.encode(&chain(longest)).unwrap_err();
        assert!(error.to_string().contains("`Some` of nothing"), "{codec:?}: {error}");
        let error = codec.encode(&chain(longest + 1)).unwrap_err();
        assert!(error.to_string().contains("options and newtypes"), "{codec:?}: {error}");
    }
}

/// An element of no bytes is decoded as often as it is announced: 2^40 of them would take hours.
#[test]
fn what_is_announced_and_not_there_costs_neither_time_nor_memory() {
    let started = Instant::now();
    let lengths: [&[u8]; 8] = [
        &[0xfd, 0, 0, 0, 0, 0, 1, 0, 0],
        &[0xfd, 255, 255, 255, 255, 255, 255, 255, 127],
        &[0xfc, 255, 255, 255, 255],
        &[0xfc, 0, 0, 16, 0],
        &[0xdd, 255, 255, 255, 255],
        &[0xdf, 255, 255, 255, 255],
        &[0xdb, 255, 255, 255, 255],
        &[0xc6, 255, 255, 255, 255],
    ];
    for tag in 1..=3 {
        for length in lengths {
            for repeated in [1, 2, 1000] {
                let payload = Payload::new(tag, length.repeat(repeated));
                assert!(Codec::decode::<Vec<()>>(&payload).is_err());
                assert!(Codec::decode::<LinkedList<[(); 3]>>(&payload).is_err());
                assert!(Codec::decode::<Vec<Vec<()>>>(&payload).is_err());
                assert!(Codec::decode::<Vec<[u64; 4]>>(&payload).is_err());
                assert!(Codec::decode::<BTreeMap<(), Vec<()>>>(&payload).is_err());
                assert!(Codec::decode::<Lists>(&payload).is_err());
                assert!(Codec::decode::<String>(&payload).is_err());
                assert!(Codec::decode::<(String, Option<Vec<String>>)>(&payload).is_err());
            }
        }
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn empty_elements_are_written_and_read_up_to_a_bound() {
    for codec in codecs() {
        expect_back(codec, &vec![(); super::MAX_EMPTY]);
        expect_back(codec, &vec![[(); 2]; super::MAX_EMPTY / 4]);
        expect_back(codec, &vec![(); super::MAX_EMPTY + 10]);
        expect_back(codec, &vec![vec![(); 1000]; 500]);
    }
}

/// The wrapper hands on all that a format and a type say to each other.
#[test]
fn every_kind_of_value_comes_through() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Kinds {
        truth: bool,
        small: (i8, i16, i32, i64, u8, u16, u32, u64),
        large: (i128, u128),
        floats: (f32, f64),
        letter: char,
        text: String,
        address: std::net::IpAddr,
        unit: (),
        nothing: Option<u8>,
        something: Option<String>,
        trees: Vec<Tree>,
        map: BTreeMap<u32, [u8; 4]>,
    }
    for codec in codecs() {
        let kinds = Kinds {
            truth: true,
            small: (-1, -2, -3, -4, 1, 2, 3, 4),
            large: (-5, 5),
            floats: (1.5, -2.5),
            letter: 'é',
            text: "tea".into(),
            address: [127, 0, 0, 1].into(),
            unit: (),
            nothing: None,
            something: Some("milk".into()),
            trees: trees(2).into(),
            map: [(7, [1, 2, 3, 4])].into(),
        };
        let payload = codec.encode(&kinds).unwrap();
        assert_eq!(Codec::decode(&payload), Ok(kinds), "{codec:?}");
    }
    let tagged = json!({"kind": "Next", "next": {"kind": "End"}});
    let payload = Codec::Json.encode(&tagged).unwrap();
    assert_eq!(Codec::decode(&payload), Ok(Tagged::Next { next: Box::new(Tagged::End) }));
}

//! What encoding and decoding a session's data takes, beside the libraries beneath.

mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use serde::{Deserialize, Serialize};
use session_store::{Codec, Payload};
use support::shopper::Item;
use support::{criterion, finish};

/// How many bytes of JSON, roughly.
const SIZES: [usize; 5] = [0, 100, 300, 1_000, 10_000];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Basket(Vec<Item>);

impl Basket {
    fn of(bytes: usize) -> Self {
        let item = |number: usize| {
            let (quantity, cents) = (2, 1250 + u32::try_from(number).expect("not that many"));
            Item { sku: format!("TEA-{number:04}"), quantity, cents }
        };
        Self((0..bytes / 46).map(item).collect())
    }
}

/// A codec and what it is compared with.
struct Subject {
    codec: Codec,
    name: &'static str,
    library: &'static str,
    encode: fn(&Basket) -> Vec<u8>,
    decode: fn(&[u8]) -> Basket,
}

fn main() {
    let mut criterion = criterion(Duration::from_secs(1));
    for subject in subjects() {
        encode(&mut criterion, &subject);
        decode(&mut criterion, &subject);
    }
    finish(&criterion);
}

fn subjects() -> Vec<Subject> {
    vec![
        Subject {
            codec: Codec::Json,
            name: "json",
            library: "serde_json",
            encode: |basket| serde_json::to_vec(basket).expect("it has a JSON form"),
            decode: |bytes| serde_json::from_slice(bytes).expect("it was encoded"),
        },
        Subject {
            codec: Codec::MessagePack,
            name: "messagepack",
            library: "rmp-serde",
            encode: |basket| rmp_serde::to_vec_named(basket).expect("it has this form"),
            decode: |bytes| rmp_serde::from_slice(bytes).expect("it was encoded"),
        },
        #[cfg(feature = "bincode")]
        Subject {
            codec: Codec::Bincode,
            name: "bincode",
            library: "bincode 2",
            encode: |basket| bincode::serde::encode_to_vec(basket, STANDARD).expect("it has this form"),
            decode: |bytes| bincode::serde::decode_from_slice(bytes, STANDARD).expect("it was encoded").0,
        },
    ]
}

#[cfg(feature = "bincode")]
const STANDARD: bincode::config::Configuration = bincode::config::standard();

fn encode(criterion: &mut Criterion, subject: &Subject) {
    let mut group = criterion.benchmark_group(format!("{}/encode", subject.name));
    for size in SIZES {
        let basket = Basket::of(size);
        assert_eq!(**ours(subject, &basket).bytes(), *(subject.encode)(&basket));
        measure(&mut group, "session-store", size, || ours(subject, black_box(&basket)));
        measure(&mut group, subject.library, size, || (subject.encode)(black_box(&basket)));
    }
}

fn ours(subject: &Subject, basket: &Basket) -> Payload {
    subject.codec.encode(basket).expect("it has this form")
}

fn decode(criterion: &mut Criterion, subject: &Subject) {
    let mut group = criterion.benchmark_group(format!("{}/decode", subject.name));
    for size in SIZES {
        let payload = ours(subject, &Basket::of(size));
        let decoded = || black_box(&payload).decode::<Basket>().expect("it was encoded");
        assert_eq!(*decoded(), Basket::of(size));
        measure(&mut group, "session-store", size, decoded);
        measure(&mut group, subject.library, size, || (subject.decode)(black_box(payload.bytes())));
    }
}

fn measure<R>(group: &mut BenchmarkGroup<'_, WallTime>, who: &str, size: usize, mut call: impl FnMut() -> R) {
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new(who, size), |bencher| bencher.iter(&mut call));
}

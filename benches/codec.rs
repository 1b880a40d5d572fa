//! What encoding and decoding a session's data takes, beside the libraries beneath.
//!
//! [`Codec::encode`] is public and measured as it is. Decoding is not: `reload`, the narrowest call
//! that does it, also asks the store, which is in memory, and puts the data into the session. So its
//! floor is a `load` from the same store and the library's own decoding of those bytes.

mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use serde::{Deserialize, Serialize};
use session_store::{
    Codec, KeyRing, Loaded, MemoryStore, Session, SessionKey, SessionManager, SessionStore as _,
};
use support::shopper::Item;
use support::{at_once, criterion, runtime};
use tokio::runtime::Runtime;

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
    let runtime = runtime();
    for subject in subjects() {
        encode(&mut criterion, &subject);
        decode(&mut criterion, &subject, &runtime);
    }
    criterion.final_summary();
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
        assert_eq!(*ours(subject, &basket), *(subject.encode)(&basket));
        measure(&mut group, "session-store", size, || ours(subject, black_box(&basket)));
        measure(&mut group, subject.library, size, || (subject.encode)(black_box(&basket)));
    }
}

fn ours(subject: &Subject, basket: &Basket) -> bytes::Bytes {
    subject.codec.encode(basket).expect("it has this form").bytes
}

fn decode(criterion: &mut Criterion, subject: &Subject, runtime: &Runtime) {
    let mut group = criterion.benchmark_group(format!("{}/decode", subject.name));
    for size in SIZES {
        let stored = Stored::new(subject, Basket::of(size), runtime);
        let floor = || (subject.decode)(&stored.load());
        assert_eq!(floor(), stored.session.read(Basket::clone));
        measure(&mut group, "session-store, reload", size, || stored.reload());
        measure(&mut group, &format!("load and {}", subject.library), size, floor);
        let bytes = stored.load();
        measure(&mut group, subject.library, size, || (subject.decode)(black_box(&bytes)));
    }
}

fn measure<R>(group: &mut BenchmarkGroup<'_, WallTime>, who: &str, size: usize, mut call: impl FnMut() -> R) {
    group.throughput(Throughput::Elements(1));
    group.bench_function(BenchmarkId::new(who, size), |bencher| bencher.iter(&mut call));
}

/// A session that is stored, and a request that uses it.
struct Stored {
    store: Arc<MemoryStore>,
    key: SessionKey,
    session: Session<Basket>,
}

impl Stored {
    fn new(subject: &Subject, basket: Basket, runtime: &Runtime) -> Self {
        let store = Arc::new(MemoryStore::new());
        let manager = SessionManager::<Basket>::builder(Arc::clone(&store), KeyRing::generate());
        let manager = manager.codec(subject.codec).build().expect("the settings agree");
        let exchange = manager.begin(None);
        let signed_in = async {
            let session = exchange.session().await?;
            // An empty basket alone would not make a session.
            session.sign_in("ada", |held| *held = basket)?;
            session.save().await?;
            Ok::<_, session_store::Error>(session)
        };
        let session = runtime.block_on(signed_in).expect("the store is in memory");
        Self { store, key: session.key().expect("it is stored"), session }
    }

    fn reload(&self) {
        at_once(self.session.reload()).expect("the store is in memory");
    }

    fn load(&self) -> bytes::Bytes {
        match at_once(self.store.load(black_box(&self.key))) {
            Ok(Loaded::Found(record)) => record.data.bytes,
            other => panic!("{other:?}"),
        }
    }
}

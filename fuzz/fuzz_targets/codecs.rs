//! A session's data: the first byte is the codec's tag. Decoding takes no more memory than the length of the
//! data accounts for, and what was decoded can be stored and read again.
#![no_main]

use std::collections::{BTreeMap, LinkedList};
use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use session_store::{Codec, Payload, Values};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Shopper {
    name: Option<String>,
    cart: Vec<(String, u32)>,
    prices: BTreeMap<String, f64>,
    seen: Vec<u8>,
    #[serde(default)]
    admin: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Chain(Option<Box<Chain>>);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
enum Tree {
    #[default]
    Leaf,
    Boxed(Box<Tree>),
    Listed(Vec<Tree>),
    Paired(Box<Tree>, u8),
    Named {
        child: Box<Tree>,
        text: String,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Lists(Vec<Lists>);

/// An empty list of these is large: 1 KiB for an element that encodes to 128 bytes at least.
type Large = Vec<[[u64; 32]; 4]>;

/// The most bytes in use at once while `bytes` of data are decoded: some hundred for each of them (a list in a
/// list for each byte, a node of a map for each two), and a list of empty elements, which bincode bounds.
fn allowed(bytes: usize) -> u64 {
    (24 << 20) + 1024 * bytes as u64
}

fn decode<T: DeserializeOwned + Send + Sync + 'static>(payload: &Payload) -> Option<std::sync::Arc<T>>
where
    T: Serialize + Clone + Default,
{
    let mut decoded = None;
    let used = allocation_counter::measure(|| decoded = payload.decode::<T>().ok());
    let length = payload.bytes().len();
    assert!(used.bytes_max <= allowed(length), "{} bytes for {length}", used.bytes_max);
    decoded
}

fn reread<T>(payload: &Payload)
where
    T: Serialize + DeserializeOwned + Clone + Default + Debug + PartialEq + Send + Sync + 'static,
{
    let Some(data) = decode::<T>(payload) else { return };
    for codec in [Codec::Json, Codec::MessagePack, Codec::Bincode] {
        if let Ok(encoded) = codec.encode(&*data) {
            let again = encoded.decode::<T>().unwrap_or_else(|e| panic!("{codec:?} of {data:?}: {e}"));
            assert_eq!(again, data, "{codec:?}");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((tag, data)) = bytes.split_first() else { return };
    let payload = Payload::new(1 + tag % 3, data.to_vec());
    reread::<Shopper>(&payload);
    reread::<Tree>(&payload);
    reread::<Lists>(&payload);
    // `Some(None)` of a chain is `null` in JSON: it does not come back as it was.
    drop(decode::<Chain>(&payload));
    drop(decode::<Value>(&payload));
    drop(decode::<Values>(&payload));
    drop(decode::<Large>(&payload));
    drop(decode::<LinkedList<()>>(&payload));
    drop(decode::<Vec<BTreeMap<u8, Vec<()>>>>(&payload));
    drop(payload.to_json());
});

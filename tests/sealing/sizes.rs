//! How many bytes sealed and compressed sessions take.

use serde_json::{Value, json};
use session_store::{KeyRing, MemoryStore, Payload, SessionManager, SessionManagerBuilder, Values};

use crate::stage::{sealing, stored};

/// A signed-in visitor of a shop: 308 bytes of JSON.
fn shopper() -> Value {
    json!({
        "name": "Ada Lovelace", "email": "ada@example.com", "locale": "en-GB", "currency": "GBP",
        "roles": ["customer", "reviewer"], "csrf_token": "8cJ0mXo5kq3RZp1vYt7uWbNd2sLgHfEa",
        "cart": [{"sku": "TEA-0042", "quantity": 2, "cents": 1250}, {"sku": "CUP-0007", "quantity": 1, "cents": 890}],
        "last_seen": "2026-01-01T12:00:00Z", "visits": 17
    })
}

/// A cart that has grown to so many bytes of JSON: each line of it differs, and its members' names do not.
fn cart_of(bytes: usize) -> Value {
    const WORDS: [&str; 12] = [
        "green",
        "black",
        "porcelain",
        "small",
        "organic",
        "Darjeeling",
        "cup",
        "pot",
        "kettle",
        "filter",
        "spoon",
        "gift",
    ];
    let mut cart = Vec::new();
    let mut seed = 1_u64;
    while json!({ "cart": cart }).to_string().len() < bytes {
        let mut next = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let title: Vec<_> = (0..3).map(|_| WORDS[usize::try_from(next(12)).unwrap()]).collect();
        cart.push(json!({
            "sku": format!("{:08X}", next(1 << 31)), "title": title.join(" "), "quantity": 1 + next(9),
            "cents": 100 + next(20_000), "added": format!("2026-01-{:02}T{:02}:{:02}:00Z", 1 + next(28), next(24), next(60)),
        }));
    }
    json!({ "cart": cart })
}

/// How the store holds this data.
async fn kept(
    data: &Value,
    settings: fn(SessionManagerBuilder<Values>) -> SessionManagerBuilder<Values>,
) -> Payload {
    let store: crate::stage::Store = std::sync::Arc::new(MemoryStore::new());
    let builder = SessionManager::<Values>::builder(std::sync::Arc::clone(&store), KeyRing::generate());
    let manager = settings(builder).build().unwrap();
    let session = manager.begin(None).session().await.unwrap();
    for (name, value) in data.as_object().unwrap() {
        session.insert(name, value).unwrap();
    }
    session.save().await.unwrap();
    stored(&store, &session.key().unwrap()).await.data
}

#[tokio::test]
async fn sealing_takes_41_bytes() {
    let plain = kept(&shopper(), |builder| builder).await;
    assert_eq!(plain.bytes().len(), 308);
    for sealed in [
        kept(&shopper(), |builder| builder.seal(sealing())).await,
        kept(&shopper(), |builder| builder.seal(sealing().and_id())).await,
        // It is shorter than what is compressed.
        kept(&shopper(), |builder| builder.seal(sealing()).compress(1024)).await,
    ] {
        assert_eq!(sealed.bytes().len(), 308 + 41);
        assert!(sealed.is_sealed() && !sealed.is_compressed());
    }
}

/// `-- --nocapture` prints the numbers.
#[tokio::test]
async fn compression_takes_a_half_at_least_of_what_is_long() {
    for (size, at_most) in [(1_000, 65), (10_000, 50), (100_000, 50)] {
        let data = cart_of(size);
        let plain = kept(&data, |builder| builder).await.bytes().len();
        let packed = kept(&data, |builder| builder.compress(512)).await;
        let sealed = kept(&data, |builder| builder.compress(512).seal(sealing())).await;
        assert!(packed.is_compressed() && sealed.is_compressed() && sealed.is_sealed());
        assert_eq!(sealed.bytes().len(), packed.bytes().len() + 41);
        let percent = packed.bytes().len() * 100 / plain;
        println!("{plain} bytes of JSON take {} compressed: {percent} %", packed.bytes().len());
        assert!(percent <= at_most, "{plain} bytes take {percent} %");
    }
}

//! The session that the benchmarks store.

use serde::{Deserialize, Serialize};
use session_store::Codec;

/// A signed-in visitor of a shop: 308 bytes of JSON.
///
/// ```json
/// {"name":"Ada Lovelace","email":"ada@example.com","locale":"en-GB","currency":"GBP",
///  "roles":["customer","reviewer"],"csrf_token":"8cJ0mXo5kq3RZp1vYt7uWbNd2sLgHfEa",
///  "cart":[{"sku":"TEA-0042","quantity":2,"cents":1250},{"sku":"CUP-0007","quantity":1,"cents":890}],
///  "last_seen":"2026-01-01T12:00:00Z","visits":17}
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Shopper {
    pub name: String,
    pub email: String,
    pub locale: String,
    pub currency: String,
    pub roles: Vec<String>,
    pub csrf_token: String,
    pub cart: Vec<Item>,
    pub last_seen: String,
    pub visits: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub quantity: u32,
    pub cents: u32,
}

impl Shopper {
    pub fn ada() -> Self {
        let item = |sku: &str, quantity, cents| Item { sku: sku.to_owned(), quantity, cents };
        Self {
            name: "Ada Lovelace".to_owned(),
            email: "ada@example.com".to_owned(),
            locale: "en-GB".to_owned(),
            currency: "GBP".to_owned(),
            roles: vec!["customer".to_owned(), "reviewer".to_owned()],
            csrf_token: "8cJ0mXo5kq3RZp1vYt7uWbNd2sLgHfEa".to_owned(),
            cart: vec![item("TEA-0042", 2, 1250), item("CUP-0007", 1, 890)],
            last_seen: "2026-01-01T12:00:00Z".to_owned(),
            visits: 17,
        }
    }

    /// The same with a cart so full that it takes so many bytes of JSON, or a few more.
    pub fn with_cart_of(bytes: usize) -> Self {
        let mut shopper = Self::ada();
        let mut number = 1_u32;
        while shopper.to_json().len() < bytes {
            // What a shop sells, in no order: neither repeated nor random.
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let kind = ["TEA", "CUP", "POT", "KETTLE", "FILTER"][(number >> 8) as usize % 5];
            let sku = format!("{kind}-{:04}", (number >> 12) % 10_000);
            shopper.cart.push(Item {
                sku,
                quantity: 1 + (number >> 28) % 5,
                cents: 90 + (number >> 16) % 9000,
            });
        }
        shopper
    }

    pub fn to_json(&self) -> Vec<u8> {
        Codec::Json.encode(self).expect("it has a JSON form").bytes().to_vec()
    }

    pub fn json() -> Vec<u8> {
        Self::ada().to_json()
    }
}

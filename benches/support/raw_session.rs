//! A session as somebody keeps it who has nothing but a client of Redis and serde: no cookie, no conflict is
//! noticed, nothing ever ends early.

use std::hint::black_box;

use ::redis::aio::MultiplexedConnection;
use ::redis::cmd;
use session_store::Ttl;

use super::operation::DAY;
use super::shopper::Shopper;

const NAME: &str = "session:{AAAA}:5okmGZOnqTYaaZ_vniTC_oSHLOGK";

pub struct RawSession(MultiplexedConnection);

impl RawSession {
    pub async fn sign_up(connection: MultiplexedConnection) -> Self {
        let session = Self(connection);
        session.save(&Shopper::ada()).await;
        session
    }

    /// Loads, and answers the number of visits.
    pub async fn read(&self) -> u32 {
        black_box(self.load().await).visits
    }

    /// Loads, counts a visit and saves.
    pub async fn write(&self) -> u32 {
        let mut shopper = self.load().await;
        shopper.visits += 1;
        self.save(&shopper).await;
        shopper.visits
    }

    async fn load(&self) -> Shopper {
        let bytes: Vec<u8> =
            cmd("GET").arg(NAME).query_async(&mut self.0.clone()).await.expect("the server answers");
        serde_json::from_slice(&bytes).expect("it was saved before")
    }

    async fn save(&self, shopper: &Shopper) {
        let bytes = serde_json::to_vec(shopper).expect("it has a JSON form");
        let mut set = cmd("SET");
        set.arg(NAME).arg(bytes).arg("PX").arg(Ttl::new(DAY).as_millis());
        set.exec_async(&mut self.0.clone()).await.expect("the server answers");
    }
}

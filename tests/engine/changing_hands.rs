//! Whatever requests do in whatever order, nobody's session holds what was another's. SECURITY 7.

use session_store::RequestSession;

use crate::world::{Account, Browser, World};

const ROUNDS: u32 = 1500;
const OWNERS: [&str; 2] = ["ada", "bob"];
/// What nobody was signed in for.
const NOBODY: &str = "nobody";

/// A xorshift generator: the same numbers in each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }

    fn of<A: Copy>(&mut self, all: &[A]) -> A {
        all[self.below(all.len())]
    }
}

/// One visitor's requests, all of whose cookies somebody kept.
struct Visitor {
    world: World,
    cookies: Vec<Browser>,
    log: Vec<String>,
}

impl Visitor {
    fn begin(&self) -> RequestSession<Account> {
        self.cookies.last().unwrap().begin(&self.world.manager)
    }

    async fn finish(&mut self, request: RequestSession<Account>, status: u16) {
        let mut browser = self.cookies.last().unwrap().clone();
        browser.receive(&request.finish(status).await);
        if browser.cookie.is_some() {
            self.cookies.push(browser);
        }
    }

    /// One operation of a request. Everything that is written is marked by whose session it is written to.
    async fn act(&mut self, request: &mut RequestSession<Account>, draw: &mut Draw) {
        let session = request.session().await.unwrap();
        let owner = draw.of(&OWNERS);
        let mark = session.owner().map_or(NOBODY.to_owned(), |present| present.as_str().to_owned());
        let operation = draw.below(10);
        self.log.push(format!("operation {operation}, {owner}, as {mark}"));
        // What is refused changes nothing.
        let _outcome = match operation {
            0 => session.sign_in(owner, |account| account.cart.push(owner.into())),
            1 => session.set_owner(owner),
            2 => session.renew(),
            3 => session.destroy().await,
            4 => session.save().await,
            5 => session.update(|account| account.cart.push(mark.clone())).await,
            6 => session.reload().await,
            7 => session.write(|account| account.cart.push(mark)),
            8 => session.start().await.map(drop),
            _ => {
                let (next, status) = (self.begin(), draw.of(&[200, 200, 200, 500, 408]));
                self.finish(std::mem::replace(request, next), status).await;
                *request = self.begin();
                Ok(())
            }
        };
        self.check(request).await;
    }

    async fn check(&self, request: &RequestSession<Account>) {
        let session = request.session().await.unwrap();
        let Some(owner) = session.owner() else { return };
        let cart = session.read(|account| account.cart.clone());
        let is_theirs = |mark: &String| mark == NOBODY || mark == owner.as_str();
        assert!(cart.iter().all(is_theirs), "{}'s cart: {cart:?} {:#?}", owner.as_str(), self.log);
    }
}

#[tokio::test]
async fn nothing_changes_hands() {
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    for round in 0..ROUNDS {
        let (world, mut browser) = (World::new(), Browser::default());
        let first = draw.of(&[Some("ada"), Some("bob"), None]);
        let begin = browser.visit(&world.manager, |session| match first {
            Some(owner) => session.sign_in(owner, |account| account.cart.push(owner.into())),
            None => session.write(|account| account.cart.push(NOBODY.into())),
        });
        begin.await.unwrap();
        let mut visitor =
            Visitor { world, cookies: vec![browser], log: vec![format!("round {round}, {first:?}")] };
        let mut requests = [visitor.begin(), visitor.begin()];
        for request in &requests {
            request.session().await.unwrap();
        }
        for _ in 0..draw.below(10) + 3 {
            let which = draw.below(2);
            visitor.act(&mut requests[which], &mut draw).await;
        }
        for request in requests {
            visitor.finish(request, 200).await;
        }
        for browser in &visitor.cookies {
            visitor.check(&browser.begin(&visitor.world.manager)).await;
        }
    }
}

//! Rolling sealing out, rotating its keys, and going back: instances of two settings answer a visitor in turn.

use session_store::{Error, SealRollout, Sealing, Session};

use crate::stage::{
    Account, Browser, Manager, NEWER_SEAL, SEAL, Store, in_memory, in_redis, instance, instance_with,
    sealing, sealing_with, stored,
};
use crate::support::redis::Server;

/// How an instance is set up at a step: how it seals, if at all, and from which size it compresses.
type Setting = (Option<fn() -> Sealing>, Option<usize>);

fn started(store: &Store, (sealing, above): Setting) -> Manager {
    instance_with(store, sealing.map(|sealing| sealing()), |builder| match above {
        Some(above) => builder.compress(above),
        None => builder,
    })
}

/// Visitors who come at each step, and are never signed out.
struct Visitors {
    browsers: Vec<Browser>,
    visits: u32,
}

impl Visitors {
    async fn arrive(manager: &Manager) -> Self {
        let mut browsers = Vec::new();
        for number in 0..4 {
            let account = Account { cart: vec!["tea".to_owned(); number * 30], ..Account::of("Ada") };
            let mut browser = Browser::with(manager, account).await;
            browser.visit(manager, |session| session.sign_in("ada", |_| ())).await.unwrap();
            browser.visit(manager, |session| session.set_label("a laptop")).await.unwrap();
            browsers.push(browser);
        }
        Self { browsers, visits: 0 }
    }

    /// Each of them does everything at each of these instances in turn.
    async fn come(&mut self, instances: &[&Manager], step: &str) {
        let act = |session: &Session<Account>, number: usize| -> Result<(), Error> {
            session.write(|account| account.visits += 1)?;
            match number {
                0 => Ok(()),
                1 => session.renew(),
                2 => session.sign_in("ada", |_| ()),
                _ => session.set_label("a laptop"),
            }
        };
        for round in 0..2 {
            for manager in instances {
                self.visits += 1;
                for (number, browser) in self.browsers.iter_mut().enumerate() {
                    browser.visit(manager, |session| act(session, number)).await.unwrap();
                    for other in instances {
                        let session = browser.session(other).await;
                        let seen = session.read(|account| (account.visits, account.cart.len()));
                        assert_eq!(seen, (self.visits, number * 30), "{step}, {round}, {number}");
                        assert_eq!(session.owner().unwrap().as_str(), "ada", "{step}, {round}, {number}");
                    }
                    let touched = browser.session(instances[0]).await;
                    touched.touch().await.unwrap();
                }
            }
        }
        for manager in instances {
            let labelled = manager.sessions_of("ada").await.unwrap();
            assert_eq!(labelled.iter().filter(|session| session.label.is_some()).count(), 4, "{step}");
        }
        for manager in instances {
            assert_eq!((manager.counts().unopened, manager.counts().corrupt), (0, 0), "{step}");
        }
    }

    async fn are_sealed(&self, store: &Store, manager: &Manager) -> bool {
        let mut sealed = Vec::new();
        for browser in &self.browsers {
            sealed.push(stored(store, &browser.key(manager).await).await.data.is_sealed());
        }
        assert!(sealed.iter().all(|is| *is == sealed[0]), "{sealed:?}");
        sealed[0]
    }
}

/// Goes through the steps: at each, instances of the setting before and of this one answer side by side.
async fn nobody_is_signed_out(store: Store, steps: &[Setting]) -> Vec<bool> {
    let mut before = started(&store, steps[0]);
    let mut visitors = Visitors::arrive(&before).await;
    let mut sealed = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let present = started(&store, *step);
        visitors.come(&[&before, &present], &format!("step {number}, side by side")).await;
        visitors.come(&[&present], &format!("step {number}")).await;
        sealed.push(visitors.are_sealed(&store, &present).await);
        before = present;
    }
    sealed
}

async fn nobody_is_signed_out_anywhere(steps: &[Setting], sealed: &[bool]) {
    assert_eq!(nobody_is_signed_out(in_memory(), steps).await, sealed);
    let server = Server::start().await;
    assert_eq!(nobody_is_signed_out(in_redis(&server).await, steps).await, sealed);
}

fn accepting() -> Sealing {
    sealing().rollout(SealRollout::Accept)
}

fn requiring() -> Sealing {
    sealing().rollout(SealRollout::Require)
}

#[tokio::test]
async fn sealing_is_rolled_out_and_back_and_nobody_is_signed_out() {
    let there = [
        (None, None),
        (Some(accepting as _), None),
        (Some(sealing as _), None),
        (Some(requiring as _), None),
    ];
    let back = [there[2], there[1], there[0]];
    let steps = [&there[..], &back[..]].concat();
    nobody_is_signed_out_anywhere(&steps, &[false, false, true, true, true, false, false]).await;
}

#[tokio::test]
async fn labels_are_sealed_from_one_day_to_the_next() {
    let labels: fn() -> Sealing = || sealing().labels();
    let steps = [(Some(sealing as _), None), (Some(labels), None), (Some(sealing as _), None)];
    nobody_is_signed_out_anywhere(&steps, &[true; 3]).await;
}

#[tokio::test]
async fn the_visitors_id_is_needed_from_one_day_to_the_next() {
    let by_id: fn() -> Sealing = || sealing().and_id();
    let required: fn() -> Sealing = || sealing().and_id().rollout(SealRollout::Require);
    let steps =
        [(Some(sealing as _), None), (Some(by_id), None), (Some(required), None), (Some(sealing as _), None)];
    nobody_is_signed_out_anywhere(&steps, &[true; 4]).await;
}

#[tokio::test]
async fn keys_are_rotated_and_nobody_is_signed_out() {
    let behind: fn() -> Sealing = || sealing_with(&[SEAL, NEWER_SEAL].join(","));
    let before: fn() -> Sealing = || sealing_with(&[NEWER_SEAL, SEAL].join(","));
    let alone: fn() -> Sealing = || sealing_with(NEWER_SEAL);
    let forms: [fn(Sealing) -> Sealing; 3] = [|sealing| sealing, Sealing::and_id, Sealing::labels];
    for form in forms {
        let store = in_memory();
        let mut last = instance(&store, form(sealing()));
        let mut visitors = Visitors::arrive(&last).await;
        for ring in [sealing, behind, before, alone] {
            let next = instance(&store, form(ring()));
            visitors.come(&[&last, &next], "side by side").await;
            visitors.come(&[&next], "alone").await;
            last = next;
        }
    }
    nobody_is_signed_out_anywhere(
        &[(Some(sealing as _), None), (Some(behind), None), (Some(before), None), (Some(alone), None)],
        &[true; 4],
    )
    .await;
}

/// What the order is good for: whoever has not got the new key opens nothing of it.
#[tokio::test]
async fn a_key_that_comes_too_early_signs_out_and_one_that_goes_too_early_as_well() {
    let store = in_memory();
    let [old, new] = [SEAL, NEWER_SEAL].map(|key| instance(&store, sealing_with(key)));
    for [here, there] in [[&old, &new], [&new, &old]] {
        let browser = Browser::with(here, Account::of("Ada")).await;
        assert_eq!(browser.sees(there).await, None);
        assert_eq!(browser.sees(here).await.unwrap().name, "Ada");
    }
    assert_eq!((old.counts().unopened, new.counts().unopened), (1, 1));
}

#[tokio::test]
async fn compression_is_switched_on_and_off_and_mixed() {
    let steps = [(None, None), (None, Some(64)), (None, Some(500)), (None, None)];
    nobody_is_signed_out_anywhere(&steps, &[false; 4]).await;
    let steps = [
        (None, Some(64)),
        (Some(accepting as _), Some(64)),
        (Some(sealing as _), None),
        (Some(requiring as _), Some(64)),
    ];
    nobody_is_signed_out_anywhere(&steps, &[false, false, true, true]).await;
}

/// The last step comes after the longest life of a session.
#[tokio::test]
async fn sessions_that_nobody_sealed_end_where_sealing_is_required() {
    let store = in_memory();
    let [plain, writing] = [None, Some(sealing())].map(|sealing| instance(&store, sealing));
    let requiring = instance(&store, requiring());
    let mut browser = Browser::with(&plain, Account::of("Ada")).await;
    assert_eq!(browser.sees(&requiring).await, None);
    assert_eq!(requiring.counts().unopened, 1);
    assert_eq!(browser.sees(&writing).await.unwrap().name, "Ada");
    browser.visit(&writing, |session| session.write(|account| account.visits += 1)).await.unwrap();
    assert_eq!(browser.sees(&requiring).await.unwrap().visits, 1);
}

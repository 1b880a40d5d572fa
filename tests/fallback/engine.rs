//! What a visitor sees: the engine above the store.

use std::sync::Arc;
use std::time::Duration;

use session_store::{
    Error, FallbackPolicy, FallbackStatus, FallbackStore, KeyRing, ResponseActions, SessionManager,
    SessionStore,
};
use tokio::time::sleep;

use crate::primary::{Call, Mode, Primary};

struct Site {
    manager: SessionManager<Vec<String>>,
    store: Arc<FallbackStore>,
    primary: Primary,
}

impl Site {
    fn new(policy: FallbackPolicy) -> Self {
        let primary = Primary::default();
        let store = Arc::new(FallbackStore::new(primary.clone(), policy));
        let manager = SessionManager::builder(Arc::clone(&store), KeyRing::generate()).build().unwrap();
        Self { manager, store, primary }
    }

    fn status(&self) -> FallbackStatus {
        self.store.status().fallback.expect("a fallback")
    }

    async fn recovers(&self) {
        self.primary.goes(Mode::Up);
        sleep(Duration::from_secs(2)).await;
        let status = self.status();
        assert_eq!((status.open, status.in_memory, status.owed_deletions), (false, 0, 0));
    }
}

#[derive(Clone, Debug, Default)]
struct Browser {
    cookie: Option<String>,
}

impl Browser {
    fn receive(&mut self, actions: &ResponseActions) {
        if let Some(header) = &actions.set_cookie {
            let pair = header.split(';').next().unwrap();
            self.cookie = (!header.contains("Max-Age=0")).then(|| pair.to_owned());
        }
    }

    async fn writes(&mut self, site: &Site, item: &str) -> Result<(), Error> {
        let request = site.manager.begin(self.cookie.as_deref());
        request.session().await?.write(|items| items.push(item.to_owned()))?;
        let actions = request.finish(200).await;
        self.receive(&actions);
        actions.failure.map_or(Ok(()), Err)
    }

    async fn signs_in(&mut self, site: &Site, owner: &str) -> Result<(), Error> {
        let request = site.manager.begin(self.cookie.as_deref());
        request.session().await?.sign_in(owner, |_| ())?;
        let actions = request.finish(200).await;
        self.receive(&actions);
        actions.failure.map_or(Ok(()), Err)
    }

    async fn logs_out(&mut self, site: &Site) -> Result<(), Error> {
        let request = site.manager.begin(self.cookie.as_deref());
        let destroyed = request.session().await?.destroy().await;
        self.receive(&request.finish(200).await);
        destroyed
    }

    /// What is in the session, and whose it is.
    async fn sees(&self, site: &Site) -> Result<(Vec<String>, Option<String>), Error> {
        let session = site.manager.begin(self.cookie.as_deref()).session().await?;
        let owner = session.owner().map(|owner| owner.as_str().to_owned());
        Ok((session.read(Vec::clone), owner))
    }
}

const ALL: [FallbackPolicy; 3] = [FallbackPolicy::Never, FallbackPolicy::AtStart, FallbackPolicy::WhileDown];

#[tokio::test(start_paused = true)]
async fn nobody_is_signed_out_by_an_outage() {
    for policy in ALL {
        for mode in [Mode::Down, Mode::Lost] {
            let site = Site::new(policy);
            let mut ada = Browser::default();
            ada.writes(&site, "tea").await.unwrap();
            ada.signs_in(&site, "ada").await.unwrap();
            site.primary.goes(mode);
            for _ in 0..5 {
                let request = site.manager.begin(ada.cookie.as_deref());
                assert_eq!(request.session().await.unwrap_err().status(), 503);
                let actions = request.finish(503).await;
                assert!(actions.set_cookie.is_none(), "{actions:?}");
            }
            site.recovers().await;
            let seen = ada.sees(&site).await.unwrap();
            assert_eq!(seen, (vec!["tea".to_owned()], Some("ada".to_owned())), "{policy:?}");
        }
    }
}

/// The store goes away between the load and the commit.
#[tokio::test(start_paused = true)]
async fn nor_by_one_that_begins_during_a_request() {
    for policy in ALL {
        let site = Site::new(policy);
        let mut ada = Browser::default();
        ada.writes(&site, "tea").await.unwrap();
        let request = site.manager.begin(ada.cookie.as_deref());
        let session = request.session().await.unwrap();
        session.write(|items| items.push("lost".to_owned())).unwrap();
        site.primary.goes(Mode::Down);
        let actions = request.finish(200).await;
        assert_eq!(actions.failure.as_ref().unwrap().status(), 503);
        assert!(actions.set_cookie.is_none());
        site.recovers().await;
        assert_eq!(ada.sees(&site).await.unwrap().0, ["tea"]);
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_born_in_an_outage_survive_it_with_what_was_done_in_them() {
    for policy in [FallbackPolicy::AtStart, FallbackPolicy::WhileDown] {
        let site = Site::new(policy);
        site.primary.goes(Mode::Down);
        let (mut ada, mut bob) = (Browser::default(), Browser::default());
        ada.writes(&site, "tea").await.unwrap();
        bob.writes(&site, "rye").await.unwrap();
        let before = ada.clone();
        ada.signs_in(&site, "ada").await.unwrap();
        ada.writes(&site, "milk").await.unwrap();
        let expected = (vec!["tea".to_owned(), "milk".to_owned()], Some("ada".to_owned()));
        assert_eq!(ada.sees(&site).await.unwrap(), expected);
        assert_ne!(ada.cookie, before.cookie);

        site.recovers().await;
        assert_eq!(site.status().moved, 2);
        assert_eq!(ada.sees(&site).await.unwrap(), expected);
        assert_eq!(bob.sees(&site).await.unwrap().0, ["rye"]);
        assert_eq!(before.sees(&site).await.unwrap(), (vec![], None), "the id from before the sign-in");
        ada.writes(&site, "oats").await.unwrap();
        assert_eq!(ada.sees(&site).await.unwrap().0, ["tea", "milk", "oats"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_in_an_outage_is_an_error_now_and_takes_effect_afterwards() {
    for policy in ALL {
        let site = Site::new(policy);
        let mut ada = Browser::default();
        ada.signs_in(&site, "ada").await.unwrap();
        let thief = ada.clone();
        // The page was loaded when the store was still there.
        let request = site.manager.begin(ada.cookie.as_deref());
        let session = request.session().await.unwrap();
        site.primary.goes(Mode::Down);
        assert_eq!(session.destroy().await.unwrap_err().status(), 503);
        ada.receive(&request.finish(503).await);
        assert_eq!(ada.cookie, None, "the browser forgets it at any rate");
        assert_eq!(thief.sees(&site).await.unwrap_err().status(), 503);
        site.primary.goes(Mode::Up);
        assert_eq!(thief.sees(&site).await.unwrap_err().status(), 503, "not usable in between");
        site.recovers().await;
        assert_eq!(thief.sees(&site).await.unwrap(), (vec![], None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_of_a_session_born_in_the_outage_succeeds() {
    let site = Site::new(FallbackPolicy::WhileDown);
    site.primary.goes(Mode::Down);
    let mut ada = Browser::default();
    ada.writes(&site, "tea").await.unwrap();
    let before = ada.clone();
    ada.signs_in(&site, "ada").await.unwrap();
    let thief = ada.clone();
    ada.logs_out(&site).await.unwrap();
    assert_eq!(ada.cookie, None);
    assert!(thief.sees(&site).await.is_err());
    ada.writes(&site, "a new visitor").await.unwrap();
    site.recovers().await;
    assert_eq!(thief.sees(&site).await.unwrap(), (vec![], None));
    assert_eq!(before.sees(&site).await.unwrap(), (vec![], None));
    assert_eq!(ada.sees(&site).await.unwrap().0, ["a new visitor"]);
}

#[tokio::test(start_paused = true)]
async fn a_create_of_unknown_outcome_costs_the_visitor_one_request() {
    let site = Site::new(FallbackPolicy::WhileDown);
    let mut ada = Browser::default();
    site.primary.once(Call::Create, Mode::Mute);
    assert!(ada.writes(&site, "tea").await.unwrap_err().outcome_unknown());
    assert_eq!(ada.cookie, None);
    ada.writes(&site, "tea").await.unwrap();
    assert_eq!(ada.sees(&site).await.unwrap().0, ["tea"]);
}

/// `update` is for what must not be lost: it loses nothing by a move either.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_is_lost_while_sessions_move() {
    for round in 0..4 {
        let site = Arc::new(Site::new(FallbackPolicy::WhileDown));
        site.primary.goes(Mode::Down);
        let mut browsers = vec![Browser::default(); 8];
        for browser in &mut browsers {
            browser.writes(&site, "begin").await.unwrap();
        }
        let writers: Vec<_> = (0..32)
            .map(|writer| {
                let (site, browser) = (Arc::clone(&site), browsers[writer % 8].clone());
                tokio::spawn(async move {
                    for n in 0..40 {
                        let session = site.manager.begin(browser.cookie.as_deref()).session().await.unwrap();
                        let item = format!("{writer}: {n}");
                        session.update(|items| items.push(item.clone())).await.unwrap();
                        sleep(Duration::from_micros(writer as u64 * 97 % 3000)).await;
                    }
                })
            })
            .collect();
        sleep(Duration::from_millis(round * 7)).await;
        site.primary.goes(Mode::Up);
        for writer in writers {
            writer.await.unwrap();
        }
        sleep(Duration::from_millis(300)).await;
        while site.status().in_memory > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((site.status().moved, site.status().dropped), (8, 0));
        for browser in &browsers {
            assert_eq!(browser.sees(&site).await.unwrap().0.len(), 1 + 4 * 40);
        }
    }
}

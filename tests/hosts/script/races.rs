//! Requests of one session at the same time.

use crate::browser::{Answer, Browser};
use crate::lab::Notes;
use crate::site::{Site, Stage};
use crate::support::gate::within;

/// SECURITY 12.
pub(crate) async fn a_request_that_outlives_the_session_does_not_bring_it_back(stage: Stage) {
    let site = stage.open();
    for (path, status) in [
        ("/notes/text/late/wait", 200),
        ("/notes/wait/text/late", 200),
        ("/notes/wait/update/late", 409),
        ("/notes/renew/wait", 409),
        ("/notes/wait/renew/text/late", 409),
    ] {
        let mut browser = site.browser_with_text("old").await;
        let mut afterwards = browser.clone();
        let late = browser.begin(path);
        site.lab.gate.arrival().await;
        browser.get("/notes/log_out").await.expect_status(200);
        site.lab.gate.open();
        within(late).await.unwrap().unwrap().expect_status(status).expect_no_cookie();
        assert_eq!(afterwards.notes().await, Notes::default(), "{path}");
    }
}

/// SECURITY 12 and 31. A cookie on the late response would push out that of the sign-in.
pub(crate) async fn a_request_that_outlives_a_sign_in_does_not_disturb_its_cookie(stage: Stage) {
    let site = stage.open();
    for (path, status, text) in [
        ("/notes/text/late/wait", 200, "late"),
        ("/notes/wait/text/late", 200, "late"),
        ("/notes/wait/update/late", 200, "late"),
        ("/notes/renew/wait", 409, "old"),
        ("/notes/wait/renew/text/late", 409, "old"),
    ] {
        for new_id in ["/notes/sign_in/ada", "/notes/renew"] {
            let mut browser = site.browser_with_text("old").await;
            let late = browser.begin(path);
            site.lab.gate.arrival().await;
            browser.get(new_id).await.expect_status(200);
            site.lab.gate.open();
            within(late).await.unwrap().unwrap().expect_status(status).expect_no_cookie();
            assert_eq!(browser.notes().await, Notes::with_text(text), "{path} beside {new_id}");
        }
    }
}

pub(crate) async fn writes_to_different_fields_at_once_are_both_kept(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("old").await;
    for answer in together(&site, &browser, ["/notes/text/new/wait", "/notes/count/wait"]).await {
        answer.expect_status(200).expect_no_cookie();
    }
    assert_eq!(browser.notes().await, Notes { count: 1, ..Notes::with_text("new") });
}

pub(crate) async fn writes_that_contradict_each_other_are_a_409_for_the_later(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("old").await;
    let [one, other] = together(&site, &browser, ["/notes/colour/1/wait", "/notes/colour/2/wait"]).await;
    let (value, refused) = if one.status == 200 { (1, other) } else { (2, one) };
    let refused = refused.expect_status(409).expect_no_cookie();
    assert_eq!(refused.body, "Conflict");
    // Nothing of the refused request was stored, not even what could have been merged.
    let expected =
        Notes { count: value, tags: [("colour".to_owned(), value)].into(), ..Notes::with_text("old") };
    assert_eq!(browser.notes().await, expected);
}

/// Two requests, neither of which goes on before both have read and written.
async fn together(site: &Site, browser: &Browser, paths: [&str; 2]) -> [Answer; 2] {
    let requests = paths.map(|path| browser.begin(path));
    for _ in &requests {
        site.lab.gate.arrival().await;
    }
    for _ in &requests {
        site.lab.gate.open();
    }
    let [one, other] = requests;
    let (one, other) = within(async { tokio::join!(one, other) }).await;
    [one, other].map(|answer| answer.unwrap().unwrap())
}

//! How long sessions and their cookies live.

use std::time::Duration;

use crate::browser::Browser;
use crate::lab::{Notes, REMEMBERED};
use crate::site::{ABSOLUTE, IDLE, Site, Stage, cookie};
use crate::store::Call;

pub(crate) async fn a_session_that_is_not_used_ends(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    site.clock.advance(IDLE - Duration::from_secs(1));
    assert_eq!(browser.clone().notes().await, Notes::with_text("hello"));
    // That was a use.
    site.clock.advance(IDLE - Duration::from_secs(1));
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
    site.clock.advance(IDLE);
    assert_eq!(browser.get("/notes/read").await.expect_no_cookie().notes(), Notes::default());
    // Nor does a write bring it back.
    browser.get("/notes/count").await.expect_status(200).expect_cookie();
    assert_eq!(browser.notes().await, Notes { count: 1, ..Notes::default() });
}

/// SECURITY 9.
pub(crate) async fn a_session_that_is_used_all_the_time_ends_at_its_absolute_timeout(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let step = IDLE / 2;
    for _ in 1..ABSOLUTE.as_secs() / step.as_secs() {
        site.clock.advance(step);
        assert_eq!(browser.notes().await, Notes::with_text("hello"));
    }
    site.clock.advance(step);
    assert_eq!(browser.notes().await, Notes::default());
}

/// SECURITY 8.
pub(crate) async fn a_session_that_is_read_is_touched_when_its_share_of_time_has_passed(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    for (seconds, calls) in [(99, &[Call::Load][..]), (1, &[Call::Load, Call::Touch]), (0, &[Call::Load])] {
        site.clock.advance(Duration::from_secs(seconds));
        // A browser's cookie that ends with the browser has nothing to follow.
        let answer = browser.get("/notes/read").await.expect_no_cookie();
        assert_eq!(answer.notes(), Notes::with_text("hello"));
        assert_eq!(site.store().calls(), calls);
    }
}

pub(crate) async fn a_persistent_cookie_is_sent_again_when_its_end_moved_and_only_then(stage: Stage) {
    let site = stage.open_with(|notes| notes.cookie(cookie("id").persistent(true)));
    let mut browser = site.browser_with_text("hello").await;
    follows_the_end(&site, &mut browser, IDLE).await;
}

pub(crate) async fn a_remembered_session_outlives_the_others_and_its_cookie_the_browser(stage: Stage) {
    let site = stage.open();
    let mut browser = site.browser_with_text("hello").await;
    let answer = browser.get("/notes/sign_in/ada/remember").await.expect_status(200);
    let end = format!("; Max-Age={}", REMEMBERED.as_secs());
    assert!(answer.set_cookies.len() == 1 && answer.set_cookies[0].ends_with(&end), "{answer:?}");
    follows_the_end(&site, &mut browser, REMEMBERED).await;
    site.clock.advance(REMEMBERED - Duration::from_secs(1));
    assert_eq!(browser.notes().await, Notes::with_text("again"));
}

pub(crate) async fn every_request_extends_the_session_where_the_layer_touches_always(stage: Stage) {
    let site = stage.touching_always().open_with(|notes| notes.cookie(cookie("id").persistent(true)));
    let mut browser = site.browser_with_text("hello").await;
    browser.get("/static").await.expect_status(200).expect_no_cookie();
    assert_eq!(site.store().calls(), [Call::Load]);
    for path in ["/static", "/nowhere"] {
        site.clock.advance(IDLE / 2);
        browser.get(path).await.expect_cookie();
        assert_eq!(site.store().calls(), [Call::Load, Call::Touch], "{path}");
    }
    // A handler's own use is no second one.
    browser.get("/notes/read").await.expect_status(200).expect_no_cookie();
    assert_eq!(site.store().calls(), [Call::Load]);
    site.clock.advance(IDLE / 2);
    assert_eq!(browser.notes().await, Notes::with_text("hello"));
    site.store().calls();

    // Who has no session gets none, and nobody asks for one.
    site.browser().get("/static").await.expect_status(200).expect_no_cookie();
    assert_eq!(site.store().calls(), []);
    // What the request does not need cannot fail it.
    site.store().fail(Call::Load);
    browser.get("/static").await.expect_status(200).expect_no_cookie();
}

/// The cookie of a session whose idle timeout is `idle`, and has just begun.
async fn follows_the_end(site: &Site, browser: &mut Browser, idle: Duration) {
    browser.get("/notes/read").await.expect_status(200).expect_no_cookie();
    site.clock.advance(idle / 10 - Duration::from_secs(1));
    browser.get("/notes/read").await.expect_status(200).expect_no_cookie();
    site.clock.advance(Duration::from_secs(1));
    for path in ["/notes/read", "/notes/text/again"] {
        let value = browser.cookie_value().to_owned();
        let answer = browser.get(path).await.expect_status(200);
        let expected = format!("id={value}; HttpOnly; SameSite=Lax; Path=/; Max-Age={}", idle.as_secs());
        assert_eq!(answer.set_cookies, [expected], "{path}");
        assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"));
        browser.get(path).await.expect_status(200).expect_no_cookie();
        site.clock.advance(idle / 2);
    }
    site.store().calls();
    browser.get("/static").await.expect_status(200).expect_no_cookie();
    assert_eq!(site.store().calls(), []);
    browser.get("/notes/read").await.expect_status(200).expect_cookie();
}

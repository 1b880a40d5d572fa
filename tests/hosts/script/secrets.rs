//! What must not be found in a log.

use crate::site::Stage;
use crate::store::Call;

/// SECURITY 21. The examples prove it for what is logged by default.
pub(crate) async fn no_level_of_the_log_shows_an_id_a_signature_an_owner_or_data(stage: Stage) {
    let site = stage.open();
    let mut secrets = vec!["private-note".to_owned(), "ada.lovelace".to_owned()];
    let mut browser = site.browser_with_text("private-note").await;
    let mut note = |value: &str| secrets.extend(value.split('.').map(str::to_owned));

    note(browser.cookie_value());
    let mut left_behind = browser.clone();
    browser.get("/notes/sign_in/ada.lovelace").await.expect_status(200);
    note(browser.cookie_value());
    left_behind.get("/notes/text/late").await.expect_status(409);
    let mut forger = browser.clone();
    forger.cookies.insert("id".to_owned(), format!("{}x", browser.cookie_value()));
    forger.get("/notes/read").await.expect_status(200);
    for call in [Call::Load, Call::Update, Call::Rotate, Call::Delete] {
        site.store().fail(call);
        browser.clone().get("/notes/text/private-note-2").await;
        browser.clone().get("/notes/sign_in/ada.lovelace").await;
        browser.clone().get("/notes/log_out").await;
    }
    site.store().recover();
    browser.clone().get("/notes/log_out").await.expect_status(200);
    browser.get("/notes/read").await.expect_status(200);
    browser.get("/bare/read").await.expect_status(500);

    let log = site.log();
    assert!(log.lines().count() > 5 && log.contains("session_store{operation=\"rotate\""), "{log}");
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "{log}");
    }
}

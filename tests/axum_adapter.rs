//! The axum layer and extractor, in the test's own process: what the examples can't show, because
//! it needs a store that fails, or a request that is held at the right moment.

#![cfg(all(feature = "axum", feature = "memory"))]

mod in_process;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use axum::middleware::{self, Next};
use axum::routing::get;
use axum::{Extension, Json, Router};
use in_process::browser::Answer;
use in_process::gate::{Gate, within};
use in_process::log;
use in_process::site::{Notes, Site, cookie, manager, notes};
use in_process::store::{Call, StagedStore};
use serde::{Deserialize, Serialize};
use session_store::{Error, KeyRing, Session, SessionLayer, SessionManager};
use tokio::sync::Barrier;

// Layers

#[tokio::test]
async fn layers_of_one_type_and_cookie_share_the_session() {
    async fn count(
        session: Session<Notes>,
        request: Request,
        next: Next,
    ) -> Result<axum::response::Response, Error> {
        session.write(|notes| notes.count += 1)?;
        Ok(next.run(request).await)
    }
    let store = StagedStore::default();
    let manager = manager(&store).build().unwrap();
    let routes = notes()
        .layer(SessionLayer::new(manager.clone()))
        .layer(middleware::from_fn(count))
        .layer(SessionLayer::new(manager));
    let site = Site::open_with(store, routes).await;
    let mut browser = site.browser();

    let answer = browser.get("/text/hello").await.expect_status(200);
    assert_eq!(answer.set_cookies.len(), 1, "{answer:?}");
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    assert_eq!(site.store.calls(), [Call::Create]);

    let expected = Notes { count: 2, ..Notes::with_text("hello") };
    assert_eq!(Notes::of(&browser.get("/read").await), expected);
    assert_eq!(site.store.calls(), [Call::Load, Call::Update]);
}

#[tokio::test]
async fn layers_of_one_type_and_two_cookies_are_refused_and_the_log_says_why() {
    let store = StagedStore::default();
    let layer = |name| SessionLayer::new(manager(&store).cookie(cookie(name)).build().unwrap());
    let routes = notes().route("/other", get(async || "no session")).layer(layer("one")).layer(layer("two"));
    let site = Site::open_with(store.clone(), routes).await;
    let mut browser = site.browser();

    let answer = browser.get("/text/hello").await.expect_status(500).expect_no_cookie();
    assert_eq!(answer.body, "Internal Server Error");
    let reason = "two session layers for axum_adapter::in_process::site::Notes name different cookies";
    assert!(log::text().contains(reason), "{}", log::text());
    assert_eq!(site.store.calls(), []);
    browser.get("/other").await.expect_status(200);
}

#[tokio::test]
async fn two_types_with_two_cookies_are_two_sessions() {
    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Theme(String);

    let store = StagedStore::default();
    let themes = SessionManager::<Theme>::builder(store.clone(), KeyRing::generate()).cookie(cookie("theme"));
    let routes = notes()
        .route("/dark", get(async |session: Session<Theme>| session.write(|theme| theme.0 = "dark".into())))
        .route("/theme", get(async |session: Session<Theme>| session.read(|theme| theme.0.clone())))
        .layer(SessionLayer::new(manager(&store).build().unwrap()))
        .layer(SessionLayer::new(themes.build().unwrap()));
    let site = Site::open_with(store, routes).await;
    let mut browser = site.browser();

    browser.get("/text/hello").await.expect_status(200);
    browser.get("/dark").await.expect_status(200);
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["id", "theme"]);
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("hello"));
    assert_eq!(browser.get("/theme").await.body, "dark");

    // Ending one leaves the other.
    browser.get("/log_out").await.expect_status(200);
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["theme"]);
    assert_eq!(browser.get("/theme").await.body, "dark");
}

#[tokio::test]
async fn a_route_without_a_layer_is_refused_and_the_log_says_why() {
    let site = Site::open_with(StagedStore::default(), notes()).await;
    let answer = site.browser().get("/read").await.expect_status(500).expect_no_cookie();
    assert_eq!(answer.body, "Internal Server Error");
    let reason = "there is no session layer for axum_adapter::in_process::site::Notes around this route";
    assert!(log::text().contains(reason), "{}", log::text());
}

#[tokio::test]
async fn everyone_who_handles_a_request_shares_one_load() {
    async fn twice(one: Session<Notes>, other: Session<Notes>) -> Result<Json<Notes>, Error> {
        one.write(|notes| notes.count = 1)?;
        Ok(Json(other.read(Notes::clone)))
    }
    let site = Site::open(Router::new().route("/twice", get(twice))).await;
    let mut browser = site.browser_with_text("hello").await;
    let expected = Notes { count: 1, ..Notes::with_text("hello") };
    assert_eq!(Notes::of(&browser.get("/twice").await), expected);
    assert_eq!(site.store.calls(), [Call::Load, Call::Update]);
}

// What a session costs, and what it does to a response

#[tokio::test]
async fn a_route_that_never_uses_the_session_costs_nothing() {
    let site = Site::open(Router::new().route("/static", get(async || "style"))).await;
    let mut browser = site.browser_with_text("hello").await;
    for path in ["/static", "/not_found"] {
        let answer = browser.get(path).await.expect_no_cookie();
        assert_eq!((answer.header("vary"), answer.header("cache-control")), (None, None), "{path}");
    }
    assert_eq!(site.store.calls(), []);
}

#[tokio::test]
async fn an_anonymous_read_costs_no_store_call_and_sets_no_cookie() {
    let site = Site::open(Router::new()).await;
    let answer = site.browser().get("/read").await.expect_no_cookie();
    assert_eq!(Notes::of(&answer), Notes::default());
    assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    assert_eq!(site.store.calls(), []);
}

/// SECURITY 4.
#[tokio::test]
async fn a_forged_cookie_costs_no_store_call() {
    let site = Site::open(Router::new()).await;
    let mut browser = site.browser_with_text("hello").await;
    let (id, signature) = browser.cookie_value().split_once('.').unwrap();
    for forged in [format!("{signature}.{id}"), format!("{id}.{}", "A".repeat(43)), "%00".to_owned()] {
        browser.cookies.insert("id".to_owned(), forged);
        assert_eq!(Notes::of(&browser.get("/read").await), Notes::default());
    }
    assert_eq!(site.store.calls(), []);
}

/// SECURITY 19.
#[tokio::test]
async fn a_handlers_cache_control_gives_way_where_the_cookie_is_set() {
    async fn cached(
        session: Session<Notes>,
    ) -> Result<([(axum::http::HeaderName, &'static str); 1], &'static str), Error> {
        session.write(|notes| notes.text = "hello".into())?;
        Ok(([(CACHE_CONTROL, "public, s-maxage=60")], "page"))
    }
    let site = Site::open(Router::new().route("/cached", get(cached))).await;
    let mut browser = site.browser();
    let created = browser.get("/cached").await.expect_status(200);
    assert_eq!(created.set_cookies.len(), 1);
    assert_eq!(created.header("cache-control").as_deref(), Some("no-store"));

    let read = browser.get("/cached").await.expect_status(200).expect_no_cookie();
    assert_eq!(read.header("cache-control").as_deref(), Some("public, s-maxage=60"));
}

#[tokio::test]
async fn a_handlers_vary_and_cookies_stay() {
    let varying = |vary: &'static str| {
        get(async move |session: Session<Notes>| {
            session.write(|notes| notes.count += 1)?;
            Ok::<_, Error>(([(VARY, vary), (SET_COOKIE, "theme=dark")], "page"))
        })
    };
    let routes = Router::new()
        .route("/encoding", varying("Accept-Encoding"))
        .route("/cookie", varying("accept-encoding, COOKIE"))
        .route("/everything", varying("*"));
    let site = Site::open(routes).await;
    for (path, expected) in [
        ("/encoding", "Accept-Encoding, Cookie"),
        ("/cookie", "accept-encoding, COOKIE"),
        ("/everything", "*"),
    ] {
        let mut browser = site.browser();
        let answer = browser.get(path).await.expect_status(200);
        assert_eq!(answer.header("vary").as_deref(), Some(expected));
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["id", "theme"], "{answer:?}");
    }
}

// Failures of the handler

#[tokio::test]
async fn a_panic_leaves_the_stored_session_whole() {
    async fn panics(session: Session<Notes>) -> Result<(), Error> {
        session.write(|notes| notes.text = "half".into())?;
        panic!("this panic is part of a test");
    }
    let site = Site::open(Router::new().route("/panics", get(panics))).await;
    let mut browser = site.browser_with_text("whole").await;
    browser.try_get("/panics").await.expect_err("the connection drops");
    assert_eq!(site.store.calls(), [Call::Load]);
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("whole"));
}

#[tokio::test]
async fn a_server_error_saves_no_data() {
    async fn fails(session: Session<Notes>) -> Result<StatusCode, Error> {
        session.write(|notes| notes.text = "half".into())?;
        Ok(StatusCode::BAD_GATEWAY)
    }
    let site = Site::open(Router::new().route("/fails", get(fails))).await;
    let mut browser = site.browser_with_text("whole").await;
    browser.get("/fails").await.expect_status(502).expect_no_cookie();
    assert_eq!(site.store.calls(), [Call::Load]);
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("whole"));
    // Nor does it start a session.
    site.browser().get("/fails").await.expect_status(502).expect_no_cookie();
}

/// SECURITY 12 and 20.
#[tokio::test]
async fn a_server_error_still_logs_out() {
    async fn fails(session: Session<Notes>) -> Result<StatusCode, Error> {
        session.destroy().await?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }
    let site = Site::open(Router::new().route("/fails", get(fails))).await;
    let mut browser = site.browser_with_text("hello").await;
    let mut other = browser.clone();
    let answer = browser.get("/fails").await.expect_status(500);
    assert!(removes_cookie(&answer), "{answer:?}");
    assert_eq!(Notes::of(&other.get("/read").await.expect_no_cookie()), Notes::default());
}

/// SECURITY 5 and 6. Whatever was about to be granted may have been granted elsewhere already.
#[tokio::test]
async fn a_server_error_during_a_sign_in_still_gives_a_new_id() {
    async fn fails(session: Session<Notes>) -> Result<StatusCode, Error> {
        session.sign_in("ada", |notes| notes.text = "half".into())?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }
    let site = Site::open(Router::new().route("/fails", get(fails))).await;
    let mut browser = site.browser_with_text("whole").await;
    let mut left_behind = browser.clone();
    let answer = browser.get("/fails").await.expect_status(500);
    assert_eq!(answer.set_cookies.len(), 1, "{answer:?}");
    assert_ne!(browser.cookie_value(), left_behind.cookie_value());
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("whole"));
    assert_eq!(Notes::of(&left_behind.get("/read").await), Notes::default());
}

// Failures of the store

/// SECURITY 26.
#[tokio::test]
async fn a_failing_load_is_a_503_and_the_handler_does_not_run() {
    let ran = Arc::new(AtomicBool::new(false));
    let handler = async |session: Session<Notes>, ran: Extension<Arc<AtomicBool>>| {
        ran.store(true, Ordering::Relaxed);
        session.write(|notes| notes.text = "overwritten".into())
    };
    let routes = Router::new().route("/handler", get(handler)).layer(Extension(Arc::clone(&ran)));
    let site = Site::open(routes).await;
    let mut browser = site.browser_with_text("hello").await;

    site.store.fail(Call::Load);
    let answer = browser.get("/handler").await.expect_status(503).expect_no_cookie();
    assert_eq!(answer.body, "Service Unavailable");
    assert!(!ran.load(Ordering::Relaxed));
    assert_eq!(site.store.calls(), [Call::Load]);

    site.store.recover();
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("hello"));
}

/// SECURITY 26.
#[tokio::test]
async fn a_failing_commit_is_a_503_in_place_of_the_handlers_answer() {
    async fn promises(
        session: Session<Notes>,
    ) -> Result<([(axum::http::HeaderName, &'static str); 1], &'static str), Error> {
        session.write(|notes| notes.text = "new".into())?;
        Ok(([(SET_COOKIE, "promise=made")], "It is done."))
    }
    let site = Site::open(Router::new().route("/promises", get(promises))).await;
    let mut browser = site.browser_with_text("old").await;

    for (call, mut visitor) in [(Call::Update, browser.clone()), (Call::Create, site.browser())] {
        site.store.fail(call);
        let answer = visitor.get("/promises").await.expect_status(503).expect_no_cookie();
        assert_eq!(answer.body, "Service Unavailable");
        assert_eq!(answer.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(answer.header("vary").as_deref(), Some("Cookie"));
    }
    assert!(log::text().contains("the store was told to fail at 10.0.0.7"), "{}", log::text());
    site.store.recover();
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("old"));
}

/// SECURITY 5 and 26.
#[tokio::test]
async fn a_sign_in_that_cannot_be_stored_is_a_503_and_leaves_the_old_session() {
    let site = Site::open(Router::new()).await;
    let mut browser = site.browser_with_text("hello").await;
    site.store.fail(Call::Rotate);
    browser.get("/sign_in/ada").await.expect_status(503).expect_no_cookie();
    site.store.recover();
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("hello"));
}

/// SECURITY 20 and 26.
#[tokio::test]
async fn a_logout_that_cannot_be_stored_is_a_503_and_still_removes_the_cookie() {
    let site = Site::open(Router::new()).await;
    let mut browser = site.browser_with_text("hello").await;
    site.store.fail(Call::Delete);
    let answer = browser.get("/log_out").await.expect_status(503);
    assert!(removes_cookie(&answer), "{answer:?}");
    assert_eq!(answer.body, "Service Unavailable");
}

fn removes_cookie(answer: &Answer) -> bool {
    let removal = "id=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    answer.set_cookies == [removal]
}

#[tokio::test]
async fn data_over_the_limit_is_a_500_and_the_record_stays_as_it_was() {
    async fn grow(session: Session<Notes>) -> Result<&'static str, Error> {
        session.write(|notes| notes.text = "x".repeat(1000))?;
        Ok("It is done.")
    }
    let store = StagedStore::default();
    let manager = manager(&store).max_payload(200).build().unwrap();
    let routes = notes().route("/grow", get(grow)).layer(SessionLayer::new(manager));
    let site = Site::open_with(store, routes).await;
    let mut browser = site.browser_with_text("small").await;

    let answer = browser.get("/grow").await.expect_status(500).expect_no_cookie();
    assert_eq!(answer.body, "Internal Server Error");
    assert!(log::text().contains("the limit is 200"), "{}", log::text());
    assert_eq!(site.store.calls(), [Call::Load]);
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("small"));
}

// Clients that hang up

#[tokio::test]
async fn a_client_that_hangs_up_on_the_handler_leaves_the_stored_session_whole() {
    let gate = Gate::closed();
    let site =
        Site::open(Router::new().route("/slow", get(writes_and_waits)).layer(Extension(gate.clone()))).await;
    let mut browser = site.browser_with_text("whole").await;

    let tab = browser.clone();
    let request = tokio::spawn(async move { tab.try_get("/slow").await });
    gate.arrival().await;
    request.abort();
    site.idle().await;
    assert_eq!(site.store.calls(), [Call::Load]);
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("whole"));
}

#[tokio::test]
async fn a_client_that_hangs_up_on_the_commit_does_not_cut_it() {
    let site = Site::open(Router::new()).await;
    let mut browser = site.browser_with_text("old").await;

    let commit = site.store.hold(Call::Update);
    let tab = browser.clone();
    let request = tokio::spawn(async move { tab.try_get("/text/new").await });
    commit.arrival().await;
    request.abort();
    site.idle().await;
    commit.open();
    commit.departure().await;
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("new"));
}

/// SECURITY 12. Whoever presses "log out" and closes the tab has logged out.
#[tokio::test]
async fn a_client_that_hangs_up_on_a_logout_is_logged_out() {
    let site = Site::open(Router::new()).await;
    let mut browser = site.browser_with_text("old").await;
    let deletion = site.store.hold(Call::Delete);
    let tab = browser.clone();
    let request = tokio::spawn(async move { tab.try_get("/log_out").await });
    deletion.arrival().await;
    request.abort();
    site.idle().await;
    deletion.open();
    deletion.departure().await;
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::default());
}

/// Writes, and then takes as long as the test wants it to.
async fn writes_and_waits(
    session: Session<Notes>,
    Extension(gate): Extension<Gate>,
) -> Result<&'static str, Error> {
    session.write(|notes| notes.text = "late".into())?;
    gate.pass().await;
    Ok("It is done.")
}

/// SECURITY 5. A handler may lose patience with `save`, by a timeout or a `select!`, and answer all
/// the same. What was to be stored under a new id must then not end up under the old one.
#[tokio::test]
async fn a_sign_in_whose_save_was_given_up_still_gets_a_new_id() {
    async fn impatient(
        session: Session<Notes>,
        store: Extension<StagedStore>,
    ) -> Result<&'static str, Error> {
        let rotation = store.hold(Call::Rotate);
        session.sign_in("ada", |notes| notes.text = "of ada".into())?;
        tokio::select! {
            saved = session.save() => saved?,
            () = rotation.arrival() => rotation.open(),
        }
        Ok("It is done.")
    }
    let store = StagedStore::default();
    let manager = manager(&store).build().unwrap();
    let routes = notes().route("/impatient", get(impatient)).layer(Extension(store.clone()));
    let site = Site::open_with(store, routes.layer(SessionLayer::new(manager))).await;
    let mut browser = site.browser_with_text("anonymous").await;
    let mut left_behind = browser.clone();

    let answer = browser.get("/impatient").await.expect_status(200);
    assert_eq!(Notes::of(&left_behind.get("/read").await), Notes::default(), "the old id is signed in");
    assert_eq!(answer.set_cookies.len(), 1);
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("of ada"));
}

// Requests at the same time

/// SECURITY 12.
#[tokio::test]
async fn a_request_that_outlives_the_session_does_not_bring_it_back() {
    async fn late_update(session: Session<Notes>, Extension(gate): Extension<Gate>) -> Result<(), Error> {
        gate.pass().await;
        session.update(|notes| notes.text = "late".into()).await
    }
    async fn late_renewal(session: Session<Notes>, Extension(gate): Extension<Gate>) -> Result<(), Error> {
        session.renew()?;
        gate.pass().await;
        Ok(())
    }
    for (path, status) in [("/write", 200), ("/update", 409), ("/renew", 409)] {
        let gate = Gate::closed();
        let routes = Router::new()
            .route("/write", get(writes_and_waits))
            .route("/update", get(late_update))
            .route("/renew", get(late_renewal))
            .layer(Extension(gate.clone()));
        let site = Site::open(routes).await;
        let mut browser = site.browser_with_text("old").await;
        let mut tab = browser.clone();
        let mut afterwards = browser.clone();

        let late = tokio::spawn(async move { tab.get(path).await });
        gate.arrival().await;
        browser.get("/log_out").await.expect_status(200);
        gate.open();
        late.await.unwrap().expect_status(status).expect_no_cookie();
        assert_eq!(Notes::of(&afterwards.get("/read").await), Notes::default(), "{path}");
    }
}

/// SECURITY 12. A cookie on the late response would push out that of the sign-in.
#[tokio::test]
async fn a_request_that_outlives_a_sign_in_does_not_disturb_its_cookie() {
    let gate = Gate::closed();
    let site =
        Site::open(Router::new().route("/slow", get(writes_and_waits)).layer(Extension(gate.clone()))).await;
    let mut browser = site.browser_with_text("old").await;
    let mut tab = browser.clone();

    let late = tokio::spawn(async move { tab.get("/slow").await });
    gate.arrival().await;
    browser.get("/sign_in/ada").await.expect_status(200);
    gate.open();
    late.await.unwrap().expect_status(200).expect_no_cookie();
    assert_eq!(Notes::of(&browser.get("/read").await), Notes::with_text("old"));
}

#[tokio::test]
async fn writes_to_different_fields_at_once_are_both_kept() {
    let routes = together(
        get(async |session: Session<Notes>, both: Extension<Arc<Barrier>>| {
            session.write(|notes| notes.text = "new".into())?;
            both.wait().await;
            Ok::<_, Error>(())
        }),
        get(async |session: Session<Notes>, both: Extension<Arc<Barrier>>| {
            session.write(|notes| notes.count = 7)?;
            both.wait().await;
            Ok::<_, Error>(())
        }),
    );
    let site = Site::open(routes).await;
    let mut browser = site.browser_with_text("old").await;
    let (mut one, mut other) = (browser.clone(), browser.clone());
    let (one, other) = within(async { tokio::join!(one.get("/one"), other.get("/other")) }).await;
    one.expect_status(200);
    other.expect_status(200);
    let expected = Notes { count: 7, ..Notes::with_text("new") };
    assert_eq!(Notes::of(&browser.get("/read").await), expected);
}

#[tokio::test]
async fn writes_that_contradict_each_other_are_a_409_for_the_later() {
    let tag = |value: u32| {
        get(async move |session: Session<Notes>, both: Extension<Arc<Barrier>>| {
            session.write(|notes| {
                notes.tags.insert("colour".to_owned(), value);
                notes.count = value;
            })?;
            both.wait().await;
            Ok::<_, Error>("It is done.")
        })
    };
    let site = Site::open(together(tag(1), tag(2))).await;
    let mut browser = site.browser_with_text("old").await;
    let (mut one, mut other) = (browser.clone(), browser.clone());
    let (one, other) = within(async { tokio::join!(one.get("/one"), other.get("/other")) }).await;

    let (value, refused) = if one.status == 200 { (1, other) } else { (2, one) };
    let refused = refused.expect_status(409).expect_no_cookie();
    assert_eq!(refused.body, "Conflict");
    let kept = Notes::of(&browser.get("/read").await);
    // Nothing of the refused request was stored, not even what could have been merged.
    let expected =
        Notes { count: value, tags: [("colour".to_owned(), value)].into(), ..Notes::with_text("old") };
    assert_eq!(kept, expected);
}

/// Two routes whose handlers wait for each other once they have read and written.
fn together(one: axum::routing::MethodRouter, other: axum::routing::MethodRouter) -> Router {
    let both = Arc::new(Barrier::new(2));
    Router::new().route("/one", one).route("/other", other).layer(Extension(both))
}

// Secrets

/// SECURITY 21. The examples prove it for what is logged by default.
#[tokio::test]
async fn no_level_of_the_log_shows_an_id_a_signature_an_owner_or_data() {
    let site = Site::open(Router::new()).await;
    let mut secrets = vec!["private-note".to_owned(), "ada.lovelace".to_owned()];
    let mut browser = site.browser_with_text("private-note").await;
    let mut note = |value: &str| secrets.extend(value.split('.').map(str::to_owned));

    note(browser.cookie_value());
    let mut left_behind = browser.clone();
    browser.get("/sign_in/ada.lovelace").await.expect_status(200);
    note(browser.cookie_value());
    left_behind.get("/text/late").await.expect_status(409);
    let mut forger = browser.clone();
    forger.cookies.insert("id".to_owned(), format!("{}x", browser.cookie_value()));
    forger.get("/read").await.expect_status(200);
    for call in [Call::Load, Call::Update, Call::Rotate, Call::Delete] {
        site.store.fail(call);
        browser.clone().get("/text/private-note-2").await;
        browser.clone().get("/sign_in/ada.lovelace").await;
        browser.clone().get("/log_out").await;
    }
    site.store.recover();
    browser.clone().get("/log_out").await.expect_status(200);
    browser.get("/read").await.expect_status(200);

    // Other crates see the request as it came, and may say so at this level: not ours to judge.
    let text = log::text();
    let ours: Vec<_> = text.lines().filter(|line| line.contains("session_store")).collect();
    assert!(ours.len() > 5, "{text}");
    for line in ours {
        for secret in &secrets {
            assert!(!line.contains(secret.as_str()), "{line}");
        }
    }
}

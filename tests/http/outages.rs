//! Redis dies, freezes, comes back, or was never there.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use tokio::time::{sleep, timeout};

use super::stage::{SECRET, Stage};
use super::visitor::{Answer, Me, Visitor};
use crate::support::app::App;
use crate::support::redis::Server;

const BACK_WITHIN: Duration = Duration::from_secs(15);
/// The store's timeout is 500 ms for each operation; this leaves room for a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// SECURITY 26.
pub(crate) async fn without_redis_the_answer_is_503_and_says_nothing_of_the_cause(mut stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let port = stage.redis().port().to_string();
    stage.redis().kill();

    let answers = [
        visitor.get("/me").await,
        visitor.visit().await,
        visitor.buy("tea").await,
        visitor.sign_in("ada").await,
        visitor.log_out().await,
        Visitor::new(&app).visit().await,
        Visitor::new(&app).sign_in("ada").await,
    ];
    for answer in answers {
        is_opaque(&answer.expect_status(503).expect_no_cookie(), &port);
    }
}

/// Nobody outside needs to know what we run on and what became of it.
fn is_opaque(answer: &Answer, port: &str) {
    let body = answer.body.to_ascii_lowercase();
    for detail in ["connect", "refused", "os error", "store", "timed out", "timeout"] {
        assert!(!body.contains(detail), "{detail:?} in {answer:?}");
    }
    let headers = format!("{:?}", answer.headers).to_ascii_lowercase();
    for detail in ["redis", "127.0.0.1", port] {
        assert!(!body.contains(detail) && !headers.contains(detail), "{detail:?} in {answer:?}");
    }
}

pub(crate) async fn without_redis_failures_are_answered_in_the_words_of_the_shop(mut stage: Stage) {
    const TEXT: &str = "Try again in a moment.";
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    stage.redis().kill();

    // A load that fails, a write of the handler's own, and a save at its end.
    let answers = [
        visitor.get("/me").await,
        Visitor::new(&app).buy("tea").await,
        Visitor::new(&app).sign_in("ada").await,
    ];
    for answer in answers {
        answer.expect_error(503, TEXT).expect_no_cookie();
    }
    let browser = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8"))]);
    for mut visitor in [visitor, Visitor::new(&app)] {
        let page = visitor.get_with_headers("/", browser.clone()).await.expect_status(503);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{page:?}");
        assert!(page.body.contains(&format!("<p>{TEXT}</p>")), "{page:?}");
    }
}

pub(crate) async fn without_redis_anonymous_visitors_can_still_read(mut stage: Stage) {
    let app = stage.app().await;
    stage.redis().kill();
    assert_eq!(Visitor::new(&app).me().await, Me::anonymous());
    assert_eq!(Visitor::with_cookie(&app, "id=forged").me().await, Me::anonymous());
}

/// SECURITY 26.
pub(crate) async fn when_redis_comes_back_with_its_data_nobody_was_signed_out(stage: Stage) {
    let mut stage = stage.durable().await;
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    visitor.sign_in("ada").await.expect_status(200);
    let before = visitor.me().await;

    stage.redis().kill();
    visitor.buy("lost").await.expect_status(503).expect_no_cookie();
    stage.redis().restart().await;
    assert_eq!(once_it_answers(&mut visitor).await, before);
    visitor.buy("tea").await.expect_status(200).expect_no_cookie();
    assert_eq!(visitor.me().await.cart, ["tea"]);
}

/// SECURITY 3.
pub(crate) async fn when_redis_comes_back_empty_its_sessions_are_gone_and_new_ones_work(mut stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let lost = visitor.id().to_owned();

    stage.redis().restart().await;
    assert_eq!(once_it_answers(&mut visitor).await, Me::anonymous());
    visitor.sign_in("ada").await.expect_status(200);
    assert_ne!(visitor.id(), lost);
    assert_eq!(visitor.me().await.user.as_deref(), Some("ada"));
}

/// SECURITY 26.
pub(crate) async fn a_frozen_redis_is_answered_in_time_and_forgotten_when_it_thaws(mut stage: Stage) {
    let app = stage.app().await;
    let mut visitor = Visitor::returning(&app).await;
    let before = visitor.me().await;
    let port = stage.redis().port().to_string();

    stage.redis().freeze();
    for _ in 0..4 {
        let answer = timeout(ANSWERED_WITHIN, visitor.get("/me")).await.expect("a bounded wait");
        is_opaque(&answer.expect_status(503).expect_no_cookie(), &port);
    }
    stage.redis().thaw();
    assert_eq!(once_it_answers(&mut visitor).await, before);
}

/// `GET /me`, as soon as it is answered by something else than a 503.
pub(crate) async fn once_it_answers(visitor: &mut Visitor) -> Me {
    let deadline = Instant::now() + BACK_WITHIN;
    loop {
        let answer = visitor.get("/me").await.expect_no_cookie();
        if answer.status != 503 {
            return answer.me();
        }
        assert!(Instant::now() < deadline, "the application did not find Redis again within {BACK_WITHIN:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// SECURITY 21.
pub(crate) async fn without_redis_at_the_start_the_application_ends_without_naming_the_password(
    stage: Stage,
) {
    let unused = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let output = refusal(&stage, &format!("redis://ada:hunter2@{unused}/0")).await;
    assert!(output.contains(&unused.to_string()), "an operator wants the address: {output}");
    assert!(!output.contains("hunter2"), "{output}");
}

/// SECURITY 21.
pub(crate) async fn with_a_wrong_password_the_application_ends_without_naming_it(stage: Stage) {
    let server = Server::start_with(&["--requirepass", "correct-horse"]).await;
    let output = refusal(&stage, &format!("redis://:hunter2@127.0.0.1:{}", server.port())).await;
    assert!(output.contains("WRONGPASS"), "an operator wants the server's words: {output}");
    assert!(!output.contains("hunter2"), "{output}");
}

async fn refusal(stage: &Stage, redis_url: &str) -> String {
    let settings = [("REDIS_URL", redis_url), ("SESSION_SECRET", SECRET)];
    let (status, output) = App::refuse_to_start(stage.host, &settings).await;
    assert!(!status.success());
    assert!(!output.contains(SECRET), "{output}");
    output
}

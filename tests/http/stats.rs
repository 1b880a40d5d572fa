//! How the shop is doing, for operators.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use super::stage::Stage;
use super::visitor::{Answer, Visitor};
use crate::support::app::App;

const STATS: &str = "/api/session/stats";
const TOKEN: &str = "for-tests-only";

async fn ask(app: &App, token: &str) -> Answer {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(AUTHORIZATION, value);
    Visitor::new(app).get_with_headers(STATS, headers).await
}

pub(crate) async fn without_a_token_there_are_no_stats(stage: Stage) {
    for settings in [&[][..], &[("SHOP_STATS_TOKEN", "")]] {
        let app = stage.app_with(settings).await;
        Visitor::new(&app).get(STATS).await.expect_status(404);
        for token in ["", TOKEN] {
            ask(&app, token).await.expect_status(404).expect_no_cookie();
        }
    }
}

pub(crate) async fn stats_are_for_whoever_has_the_token(stage: Stage) {
    let app = stage.app_with(&[("SHOP_STATS_TOKEN", TOKEN)]).await;
    let mut visitor = Visitor::returning(&app).await;
    visitor.sign_in("ada").await.expect_status(200);
    visitor.get(STATS).await.expect_status(403);
    for token in ["", "for-tests-onl", "for-tests-only2", "FOR-TESTS-ONLY"] {
        ask(&app, token).await.expect_status(403).expect_no_cookie();
    }
    assert!(!ask(&app, "wrong").await.body.contains("totalSessions"));
    let answer = ask(&app, TOKEN).await.expect_status(200).expect_no_cookie();
    assert!(answer.header("content-type").unwrap().starts_with("application/json"), "{answer:?}");
    let stats: Value = serde_json::from_str(&answer.body).unwrap();
    // What dashboards of the services before this one read.
    let is_redis = stage.is_redis();
    assert_eq!(stats["store"], if is_redis { "redis" } else { "memory" }, "{stats}");
    assert!(stats.as_object().unwrap().contains_key("totalSessions"), "{stats}");
    assert_eq!(stats["redisStats"]["connected"], is_redis, "{stats}");
    assert_eq!(
        (&stats["success"], &stats["redisStats"]["usingFallback"]),
        (&true.into(), &false.into()),
        "{stats}"
    );
    assert_eq!(stats["redisStats"]["inMemoryKeys"], 0, "{stats}");
    assert_eq!((&stats["counts"]["created"], &stats["counts"]["rotated"]), (&1.into(), &1.into()), "{stats}");
}

/// SECURITY 21.
pub(crate) async fn stats_hold_no_id_no_user_and_no_data(stage: Stage) {
    let app = stage.app_with(&[("SHOP_STATS_TOKEN", TOKEN)]).await;
    let mut visitor = Visitor::returning(&app).await;
    let mut secrets = vec!["ada.lovelace".to_owned(), "darjeeling".to_owned(), TOKEN.to_owned()];
    secrets.extend([visitor.id().to_owned(), visitor.signature().to_owned()]);
    visitor.sign_in("ada.lovelace").await.expect_status(200);
    visitor.buy("darjeeling").await.expect_status(200);
    secrets.extend([visitor.id().to_owned(), visitor.signature().to_owned()]);
    ask(&app, "wrong").await.expect_status(403);
    let stats = ask(&app, TOKEN).await.expect_status(200).body;
    let told = stats + &app.into_output().await;
    for secret in secrets {
        assert!(!told.contains(&secret), "{told}");
    }
}

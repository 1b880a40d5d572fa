//! Other topologies than one server, and memory while Redis is away: all by the environment alone.

use super::outages::once_it_answers;
use super::stage::Stage;
use super::visitor::{Me, Visitor};
use crate::support::app::App;
use crate::support::redis::{Cluster, Place, Sentinels, wait_until};

const MOVES: &str = "fell back: new sessions are kept in memory from now on";

pub(crate) async fn the_shop_is_open_on_a_cluster(stage: Stage) {
    let redis = Cluster::start_with(&["--requirepass", "correct-horse"]).await;
    let nodes = redis.url().replace("redis-cluster://", "");
    let named_by_parts =
        [("REDIS_URL", ""), ("REDIS_CLUSTER_NODES", &*nodes), ("REDIS_PASSWORD", "correct-horse")];
    let one = stage.app_with(&named_by_parts).await;
    let url = redis.url().replace("://", "://:correct-horse@");
    let other = stage.app_with(&[("REDIS_URL", &url)]).await;
    a_day_at_the_shop(&one, &other).await;
}

pub(crate) async fn the_shop_is_open_behind_sentinels(stage: Stage) {
    let redis = Sentinels::start_with(&[], &["--requirepass", "watch"]).await;
    let (sentinels, master) = (redis.url(), redis.url());
    let sentinels = sentinels.trim_start_matches("redis-sentinel://").trim_end_matches("/mymaster");
    let named_by_parts =
        [("REDIS_URL", ""), ("REDIS_SENTINELS", sentinels), ("REDIS_SENTINEL_PASSWORD", "watch")];
    let one = stage.app_with(&named_by_parts).await;
    let secrets = Place::take();
    let file = secrets.directory().join("sentinels");
    std::fs::write(&file, "watch\n").unwrap();
    let file = ("REDIS_SENTINEL_PASSWORD_FILE", file.to_str().unwrap());
    let other = stage.app_with(&[("REDIS_URL", &master), file]).await;
    a_day_at_the_shop(&one, &other).await;
}

async fn a_day_at_the_shop(one: &App, other: &App) {
    for user in ["ada", "grace", "edith", "mary"] {
        let mut visitor = Visitor::returning(one).await;
        visitor.sign_in(user).await.expect_status(200);
        let mut elsewhere = visitor.at(other);
        elsewhere.buy("tea").await.expect_status(200);
        assert_eq!(visitor.me().await.cart, ["tea"]);
        elsewhere.log_out().await.expect_status(200);
        assert_eq!(visitor.me().await, Me::anonymous());
    }
}

pub(crate) async fn with_a_fallback_the_shop_opens_before_redis_and_keeps_its_sessions(mut stage: Stage) {
    stage.redis().kill();
    let app = stage.app_with(&[("SESSION_FALLBACK", "at-start")]).await;
    let mut visitor = Visitor::returning(&app).await;
    visitor.sign_in("ada").await.expect_status(200);
    visitor.buy("tea").await.expect_status(200);
    let before = visitor.me().await;

    stage.redis().restart().await;
    let redis = stage.redis();
    wait_until("the session has moved", || async { redis.ask::<u32>("DBSIZE").await.unwrap() > 0 }).await;
    assert_eq!(once_it_answers(&mut visitor).await, before);
    let output = app.into_output().await;
    assert_eq!(output.matches(MOVES).count(), 1, "{output}");
    let app = stage.app().await;
    assert_eq!(visitor.at(&app).me().await, before, "it is no longer in the process's memory");
}

/// SECURITY 12 and 26.
pub(crate) async fn with_a_fallback_an_outage_signs_nobody_out_and_nobody_back_in(stage: Stage) {
    let mut stage = stage.durable().await;
    let app = stage.app_with(&[("SESSION_FALLBACK", "while-down")]).await;
    let mut signed_in = Visitor::returning(&app).await;
    signed_in.sign_in("ada").await.expect_status(200);
    let before = signed_in.me().await;

    stage.redis().kill();
    let mut newcomer = Visitor::returning(&app).await;
    newcomer.buy("tea").await.expect_status(200);
    signed_in.visit().await.expect_status(503).expect_no_cookie();
    assert_eq!(newcomer.me().await.cart, ["tea"]);
    let mut leaving = Visitor::returning(&app).await;
    let stolen = leaving.clone();
    leaving.log_out().await.expect_status(200);

    stage.redis().restart().await;
    assert_eq!(once_it_answers(&mut signed_in).await, before);
    assert_eq!(newcomer.me().await.cart, ["tea"]);
    assert_eq!(stolen.at(&app).me().await, Me::anonymous());
}

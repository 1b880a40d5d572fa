//! What has to hold with all packages.

use std::time::Duration;

use serde_json::{Value, json};
use session_store::{Clock as _, SystemClock};

use super::{HOUR, Pair, in_node, names, sid, tell_node};
use crate::visitor::Visitor;

const DAY_IN_MILLIS: u64 = 24 * 3_600_000;

pub(super) async fn all(pair: Pair) {
    run!(pair;
        what_node_made_is_read_here,
        what_is_written_here_is_read_by_node_in_its_order,
        what_is_made_here_is_read_and_changed_by_node,
        what_is_renewed_here_has_a_new_id_for_node,
        what_is_renewed_by_node_has_a_new_id_here,
        what_is_destroyed_here_is_gone_for_node,
        what_is_destroyed_by_node_is_gone_here,
        a_max_age_of_its_own_is_kept,
        a_session_until_the_browser_ends_stays_one,
        a_session_lives_as_long_as_its_key_whatever_its_cookie_says,
        what_node_wrote_during_a_request_here_is_kept,
    );
}

pub(super) async fn what_node_made_is_read_here(pair: &Pair) {
    let mut visitor = pair.made_by_node().await;
    let before = sid(&visitor);
    let left = left(pair, &mut visitor).await;
    assert!(left <= HOUR && left.as_secs() > HOUR.as_secs() - 60, "{left:?}");
    assert_eq!(sid(&visitor), before);
    assert_eq!(pair.member(&visitor, "user").await, Some(json!("ada")));
    assert_eq!(pair.member(&visitor, "cart").await, Some(json!(["tea"])));
}

pub(super) async fn what_is_written_here_is_read_by_node_in_its_order(pair: &Pair) {
    let mut visitor = pair.made_by_node().await;
    let (id, before) = (sid(&visitor), in_node(&visitor).await);
    pair.insert(&mut visitor, "theme", "dark").await;
    pair.insert(&mut visitor, "cart", ["tea", "cake"]).await;
    assert_eq!(sid(&visitor), id);
    let after = in_node(&visitor).await;
    assert_eq!(names(&after), ["cookie", "user", "cart", "theme", "__session_store"]);
    assert_eq!((&after["cart"], &after["theme"]), (&json!(["tea", "cake"]), &json!("dark")));
    assert_eq!(names(&after["cookie"]), names(&before["cookie"]));
    // Fastify keeps a copy of the end.
    let end = ["expires", "originalExpires"];
    for name in names(&before["cookie"]).into_iter().filter(|name| !end.contains(name)) {
        assert_eq!(after["cookie"][name], before["cookie"][name], "{name}");
    }
}

pub(super) async fn what_is_made_here_is_read_and_changed_by_node(pair: &Pair) {
    let mut visitor = pair.made_here().await;
    assert_eq!(in_node(&visitor).await["user"], "ada");
    let id = sid(&visitor);
    tell_node(&mut visitor, "/session", json!({ "cart": ["tea"] })).await;
    assert_eq!(sid(&visitor), id);
    assert_eq!(pair.member(&visitor, "user").await, Some(json!("ada")));
    assert_eq!(pair.member(&visitor, "cart").await, Some(json!(["tea"])));
}

pub(super) async fn what_is_renewed_here_has_a_new_id_for_node(pair: &Pair) {
    for mut visitor in [pair.made_by_node().await, pair.made_here().await] {
        let before = visitor.clone();
        pair.ask(&mut visitor, async |session| session.renew()).await;
        assert_ne!(sid(&visitor), sid(&before));
        assert_eq!(in_node(&visitor).await["user"], "ada");
        assert_eq!(in_node(&before).await["user"], Value::Null);
    }
}

pub(super) async fn what_is_renewed_by_node_has_a_new_id_here(pair: &Pair) {
    for mut visitor in [pair.made_by_node().await, pair.made_here().await] {
        let before = visitor.clone();
        tell_node(&mut visitor, "/regenerate", json!({ "user": "bob" })).await;
        assert_ne!(sid(&visitor), sid(&before));
        assert_eq!(pair.member(&visitor, "user").await, Some(json!("bob")));
        assert_eq!(pair.member(&before, "user").await, None);
    }
}

pub(super) async fn what_is_destroyed_here_is_gone_for_node(pair: &Pair) {
    for visitor in [pair.made_by_node().await, pair.made_here().await] {
        pair.ask(&mut visitor.clone(), async |session| session.destroy().await).await;
        assert_eq!(in_node(&visitor).await["user"], Value::Null);
    }
}

pub(super) async fn what_is_destroyed_by_node_is_gone_here(pair: &Pair) {
    for visitor in [pair.made_by_node().await, pair.made_here().await] {
        visitor.clone().post_json("/destroy", &json!({})).await.expect_status(204);
        assert_eq!(pair.member(&visitor, "user").await, None);
    }
}

pub(super) async fn a_max_age_of_its_own_is_kept(pair: &Pair) {
    let month = 30 * DAY_IN_MILLIS;
    let mut visitor = pair.made_by_node().await;
    tell_node(&mut visitor, "/session", json!({ "cookie": { "maxAge": month }, "n": 1 })).await;
    pair.insert(&mut visitor, "n", 2).await;
    let session = in_node(&visitor).await;
    // Express lets it drift by a millisecond.
    assert!(session["cookie"]["originalMaxAge"].as_u64().unwrap().abs_diff(month) < 100, "{session}");
    let left = left(pair, &mut visitor).await;
    assert!(left.as_secs().abs_diff(month / 1000) < 60, "{left:?}");
}

/// `req.session.cookie.expires = false`.
pub(super) async fn a_session_until_the_browser_ends_stays_one(pair: &Pair) {
    let mut visitor = pair.made_by_node().await;
    tell_node(&mut visitor, "/session", json!({ "cookie": { "expires": false }, "n": 1 })).await;
    pair.insert(&mut visitor, "n", 2).await;
    let session = in_node(&visitor).await;
    assert_eq!(session["n"], json!(2));
    for time in ["originalMaxAge", "expires"] {
        assert_eq!(session["cookie"][time], json!(false), "{time}");
    }
    // As long as connect-redis keeps it.
    let left = left(pair, &mut visitor).await;
    assert!(u128::from(DAY_IN_MILLIS).abs_diff(left.as_millis()) < 60_000, "{left:?}");
}

/// As after requests that only kept it alive, here or in Node.
pub(super) async fn a_session_lives_as_long_as_its_key_whatever_its_cookie_says(pair: &Pair) {
    let mut visitor = pair.made_by_node().await;
    let mut session = in_node(&visitor).await;
    session["cookie"]["expires"] = json!("2001-01-01T00:00:00.000Z");
    pair.redis.put(&sid(&visitor), &session).await;
    assert_eq!(in_node(&visitor).await["user"], "ada");
    assert_eq!(pair.member(&visitor, "user").await, Some(json!("ada")));
    pair.insert(&mut visitor, "n", 1).await;
    assert!(in_node(&visitor).await["cookie"]["expires"].as_str().unwrap() > "2026");
}

pub(super) async fn what_node_wrote_during_a_request_here_is_kept(pair: &Pair) {
    for mut visitor in [pair.made_by_node().await, pair.made_here().await] {
        let mut tab = visitor.clone();
        pair.ask(&mut visitor, async |session| {
            session.write(|values| values.insert("ours", 1))??;
            tell_node(&mut tab, "/session", json!({ "theirs": 2 })).await;
            Ok(())
        })
        .await;
        let session = in_node(&visitor).await;
        assert_eq!((&session["ours"], &session["theirs"]), (&json!(1), &json!(2)));
    }
}

/// How much longer the session lives, as this crate sees it.
async fn left(pair: &Pair, visitor: &mut Visitor) -> Duration {
    let expires_at = pair.ask(visitor, async |session| Ok(session.expires_at())).await;
    expires_at.expect("there is a session").saturating_since(SystemClock.now())
}

//! Sign-in and logout by passport, which keeps who is signed in as `passport: { user }`.

use serde_json::{Value, json};

use super::{Pair, in_node, names, sid, tell_node};
use crate::visitor::Visitor;

pub(super) async fn all(pair: Pair) {
    run!(pair;
        who_signs_in_at_node_is_signed_in_here,
        who_signs_in_here_is_signed_in_at_node,
        who_logs_out_at_node_is_logged_out_here,
        who_logs_out_here_is_logged_out_at_node,
        an_owner_here_does_not_go_along_with_what_node_keeps,
    );
}

/// Whom passport takes the browser for.
async fn user(visitor: &Visitor) -> Value {
    let answer = visitor.clone().get("/user").await.expect_status(200);
    serde_json::from_str(&answer.body).unwrap()
}

async fn who_signs_in_at_node_is_signed_in_here(pair: &Pair) {
    for keep in [false, true] {
        let mut visitor = pair.made_by_node().await;
        let before = visitor.clone();
        tell_node(&mut visitor, "/login", json!({ "user": "bob", "keepSessionInfo": keep })).await;
        assert_ne!(sid(&visitor), sid(&before));
        assert_eq!(user(&visitor).await, "bob");
        assert_eq!(pair.member(&visitor, "passport").await, Some(json!({ "user": "bob" })));
        assert_eq!(pair.member(&visitor, "cart").await, keep.then(|| json!(["tea"])));
        assert_eq!(pair.member(&before, "user").await, None);
    }
}

async fn who_signs_in_here_is_signed_in_at_node(pair: &Pair) {
    let mut visitor = pair.made_by_node().await;
    let before = visitor.clone();
    sign_in(pair, &mut visitor).await;
    assert_eq!((user(&visitor).await, user(&before).await), (json!("bob"), Value::Null));
    assert_eq!(in_node(&visitor).await["cart"], json!(["tea"]));
}

async fn who_logs_out_at_node_is_logged_out_here(pair: &Pair) {
    for keep in [false, true] {
        let mut visitor = pair.made_by_node().await;
        sign_in(pair, &mut visitor).await;
        let signed_in = visitor.clone();
        tell_node(&mut visitor, "/logout", json!({ "keepSessionInfo": keep })).await;
        assert_ne!(sid(&visitor), sid(&signed_in));
        assert_eq!(user(&visitor).await, Value::Null);
        assert_eq!(pair.member(&signed_in, "passport").await, None);
        assert_eq!(pair.member(&visitor, "cart").await, keep.then(|| json!(["tea"])));
        let nobody =
            pair.member(&visitor, "passport").await.is_none_or(|passport| names(&passport).is_empty());
        assert!(nobody);
    }
}

async fn who_logs_out_here_is_logged_out_at_node(pair: &Pair) {
    let mut visitor = pair.made_by_node().await;
    tell_node(&mut visitor, "/login", json!({ "user": "bob" })).await;
    pair.ask(&mut visitor.clone(), async |session| session.destroy().await).await;
    assert_eq!(user(&visitor).await, Value::Null);
}

async fn an_owner_here_does_not_go_along_with_what_node_keeps(pair: &Pair) {
    let mut visitor = pair.made_by_node().await;
    sign_in(pair, &mut visitor).await;
    let owner = async |visitor: &Visitor| {
        pair.ask(&mut visitor.clone(), async |session| {
            Ok(session.owner().map(|owner| owner.as_str().to_owned()))
        })
        .await
    };
    assert_eq!(owner(&visitor).await.as_deref(), Some("bob"));
    tell_node(&mut visitor, "/login", json!({ "user": "eve", "keepSessionInfo": true })).await;
    assert_eq!(user(&visitor).await, "eve");
    assert_eq!(owner(&visitor).await, None);
}

async fn sign_in(pair: &Pair, visitor: &mut Visitor) {
    let sign_in = async |session: session_store::Session<session_store::Values>| {
        session.sign_in("bob", |values| values.insert("passport", json!({ "user": "bob" })))?
    };
    pair.ask(visitor, sign_in).await;
}

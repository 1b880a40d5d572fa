//! @fastify/session is told by `cookiePrefix: 's:'` to sign as express-session does, and keeps the same members in the
//! same store. It has no touch, and goes by `cookie.expires` instead of by its key's time to live.

use serde_json::{Value, json};

use super::{Pair, checks, in_node, sid};

pub(super) async fn all(pair: Pair) {
    run!(pair;
        checks::what_node_made_is_read_here,
        checks::what_is_written_here_is_read_by_node_in_its_order,
        checks::what_is_made_here_is_read_and_changed_by_node,
        checks::what_is_renewed_here_has_a_new_id_for_node,
        checks::what_is_renewed_by_node_has_a_new_id_here,
        checks::what_is_destroyed_here_is_gone_for_node,
        checks::what_is_destroyed_by_node_is_gone_here,
        checks::a_max_age_of_its_own_is_kept,
        checks::what_node_wrote_during_a_request_here_is_kept,
        a_session_that_was_only_kept_alive_here_is_ended_by_fastify,
    );
}

async fn a_session_that_was_only_kept_alive_here_is_ended_by_fastify(pair: &Pair) {
    let visitor = pair.made_by_node().await;
    let mut session = in_node(&visitor).await;
    session["cookie"]["expires"] = json!("2001-01-01T00:00:00.000Z");
    pair.redis.put(&sid(&visitor), &session).await;
    assert_eq!(pair.member(&visitor, "user").await, Some(json!("ada")));
    assert_eq!(in_node(&visitor).await["user"], Value::Null);
    assert_eq!(pair.member(&visitor, "user").await, None);
}

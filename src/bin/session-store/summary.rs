//! What is said of one session.

use serde_json::{Value, json};
use session_store::{Codec, Label, Owner, Record, SessionKey, SessionSummary, Timestamp};

use crate::failure::Failure;
use crate::keys;
use crate::moments;
use crate::opening::{Naming, Open};

/// The record of a session that is there.
pub(crate) async fn load(open: &Open, key: &SessionKey) -> Result<Record, Failure> {
    open.manager.record(key).await?.ok_or_else(keys::not_there)
}

/// When a session ends if it is not used again.
pub(crate) fn end(session: &SessionSummary) -> Timestamp {
    session.absolute_deadline.map_or(session.expires_at, |deadline| deadline.min(session.expires_at))
}

/// A session as programs get it, named as the fields of [`SessionSummary`]: times are RFC 3339, and the codec has its name.
pub(crate) fn value(session: &SessionSummary, naming: &Naming, now: Timestamp) -> Value {
    json!({
        "key": keys::name(&session.key, naming),
        "owner": session.owner.as_ref().map(Owner::as_str),
        "label": session.label.as_ref().map(Label::as_str),
        "createdAt": moments::utc(session.created_at),
        "lastSeen": session.last_seen().map(moments::utc),
        "expiresAt": moments::utc(end(session)),
        "expiresInSeconds": end(session).saturating_since(now).as_secs(),
        "idleTimeoutSeconds": session.idle_timeout.map(|idle| idle.as_secs()),
        "absoluteDeadline": session.absolute_deadline.map(moments::utc),
        "codec": codec(session.codec),
        "sealed": session.sealed,
        "compressed": session.compressed,
        "dataBytes": session.data_bytes,
    })
}

pub(crate) fn codec(tag: u8) -> Value {
    Codec::name_of(tag).map_or_else(|| tag.into(), Value::from)
}

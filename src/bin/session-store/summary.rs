//! What is said of one session.

use serde_json::{Value, json};
use session_store::{
    Codec, Label, Loaded, Owner, Record, SessionKey, SessionStore as _, SessionSummary, Timestamp,
};

use crate::failure::Failure;
use crate::keys;
use crate::moments;
use crate::opening::{Naming, Open};

/// The record of a session that is there.
pub(crate) async fn load(open: &Open, key: &SessionKey) -> Result<Record, Failure> {
    match open.store.load(key).await? {
        Loaded::Found(record) => Ok(record),
        _ => Err(keys::not_there()),
    }
}

/// When a session ends if it is not used again.
pub(crate) fn end(session: &SessionSummary) -> Timestamp {
    session.absolute_deadline.map_or(session.expires_at, |deadline| deadline.min(session.expires_at))
}

/// A session as programs get it.
pub(crate) fn value(session: &SessionSummary, naming: &Naming, now: Timestamp) -> Value {
    json!({
        "key": keys::name(&session.key, naming),
        "owner": session.owner.as_ref().map(Owner::as_str),
        "label": session.label.as_ref().map(Label::as_str),
        "created_at": moments::utc(session.created_at),
        "last_seen": session.last_seen().map(moments::utc),
        "expires_at": moments::utc(session.expires_at),
        "expires_in_seconds": end(session).saturating_since(now).as_secs(),
        "idle_timeout_seconds": session.idle_timeout.map(|idle| idle.as_secs()),
        "absolute_deadline": session.absolute_deadline.map(moments::utc),
        "codec": codec(session.codec),
        "bytes": session.data_bytes,
    })
}

pub(crate) fn codec(tag: u8) -> Value {
    Codec::name_of(tag).map_or_else(|| tag.into(), Value::from)
}

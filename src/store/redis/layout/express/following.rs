//! Where an update finds a session that was given another id in the meantime.

use redis::Value;

use super::{Express, scripts, text};
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::store::Update;
use crate::store::redis::connection::{Durability, Repeat};
use crate::store::redis::failure::Effect;
use crate::store::redis::unexpected;

/// Where the marker under a key leads an update.
pub(in crate::store::redis::layout) enum Followed {
    To(SessionKey),
    /// The same update took effect before the rotation.
    Before,
    Nowhere,
}

impl Express {
    /// Where an update has to go whose session was moved.
    ///
    /// A step of its own, since in a cluster no script reaches both keys. Together they are as good as one: a
    /// marker never changes. It only goes away, when its time has passed, or when all that it leads to has
    /// been deleted; and the step that counts is the one at the successor.
    pub(in crate::store::redis::layout) async fn followed(
        &self,
        update: &Update<'_>,
    ) -> Result<Followed, Error> {
        self.behind(update.key, text(update.record.revision)).await
    }

    /// Where the marker under `key` leads a write of the revision `own`, or an empty one.
    pub(super) async fn behind(&self, key: &SessionKey, own: String) -> Result<Followed, Error> {
        match self.eval(key, Durability::Ordinary, Repeat::Read, &scripts::SUCCESSOR, &[own]).await? {
            Value::Nil => Ok(Followed::Nowhere),
            Value::Okay => Ok(Followed::Before),
            Value::BulkString(id) => {
                let id = std::str::from_utf8(&id).ok().and_then(SessionId::express);
                let corrupt = || Error::Corrupt { key: key.clone(), reason: "its marker leads nowhere" };
                Ok(Followed::To(id.ok_or_else(corrupt)?.key()))
            }
            _ => Err(unexpected(Effect::Read)),
        }
    }
}

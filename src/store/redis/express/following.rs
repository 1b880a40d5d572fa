//! Updates, and where they find a session that was given another id meanwhile.

use redis::Value;

use super::{Express, Repeat, Update, Updated, Way, digits, scripts, unexpected};
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::store::redis::failure::Effect;

/// Where the marker under a key leads an update.
pub(in crate::store::redis) enum Followed {
    To(SessionKey),
    /// The same update took effect before the rotation.
    Before,
    Nowhere,
}

impl Express {
    pub(in crate::store::redis) async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        let outcome = self.swap(update).await?;
        if !(update.follow && outcome == Updated::Moved) {
            return Ok(outcome);
        }
        match self.successor(&update).await? {
            Followed::To(successor) => self.swap(Update { key: &successor, ..update }).await,
            Followed::Before => Ok(Updated::Updated),
            Followed::Nowhere => Ok(Updated::Missing),
        }
    }

    /// Where an update has to go whose session was moved.
    ///
    /// A step of its own, since in a cluster no script reaches both keys. Together they are as good as one: a
    /// marker never changes. It only goes away, when its time has passed, or when all that it leads to has
    /// been deleted; and the step that counts is the one at the successor.
    pub(in crate::store::redis) async fn successor(&self, update: &Update<'_>) -> Result<Followed, Error> {
        let own = [digits(update.record.revision)];
        match self.eval(update.key, Way::Shared, Repeat::Read, &scripts::SUCCESSOR, &own).await? {
            Value::Nil => Ok(Followed::Nowhere),
            Value::Okay => Ok(Followed::Before),
            Value::BulkString(id) => {
                let id = std::str::from_utf8(&id).ok().and_then(SessionId::express);
                let corrupt =
                    || Error::Corrupt { key: update.key.clone(), reason: "its marker leads nowhere" };
                Ok(Followed::To(id.ok_or_else(corrupt)?.key()))
            }
            _ => Err(unexpected(Effect::Read)),
        }
    }
}

//! Sessions in the layout of Express and in this crate's own, side by side: what a service has while it
//! goes from the one to the other.

use super::express::{Destination, Express, Followed};
use super::name::Prefix;
use super::native::Native;
use super::{Made, in_use};
use crate::clock::Timestamp;
use crate::cookie::SessionCookie;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Record, Revision};
use crate::store::{Created, Loaded, Rotation, Update, Updated};
use crate::ttl::Ttl;

#[derive(Debug)]
pub(super) struct Both {
    native: Native,
    express: Express,
    /// Whether what is written goes to this crate's own layout. Otherwise that is read, and updated
    /// where it is, but new sessions are Express'.
    leaving: bool,
}

impl Both {
    pub(super) fn new(native: Native, express: Express, leaving: bool) -> Self {
        Self { native, express, leaving }
    }

    pub(super) fn express_cookie(&self) -> &SessionCookie {
        self.express.cookie()
    }

    pub(super) fn express_prefix(&self) -> &Prefix {
        self.express.prefix()
    }

    pub(super) fn native_prefix(&self) -> &Prefix {
        self.native.prefix()
    }

    pub(super) async fn load(&self, key: &SessionKey) -> Result<Loaded, Error> {
        match self.native.load(key).await? {
            // A key that was read from the index of this crate's own layout has no id.
            Loaded::Absent if key.express_id().is_none() => return Ok(Loaded::Absent),
            Loaded::Absent => {}
            found => return Ok(found),
        }
        match self.express.load(key).await? {
            Loaded::Absent => self.native.load(key).await,
            found => Ok(found),
        }
    }

    pub(super) async fn create(&self, key: &SessionKey, record: &Record, ttl: Ttl) -> Result<Created, Error> {
        if self.leaving {
            self.native.create(key, record, ttl).await
        } else {
            self.express.create(key, record, ttl).await
        }
    }

    pub(super) async fn update(&self, update: Update<'_>) -> Result<Updated, Error> {
        if update.follow {
            return self.follow(update).await;
        }
        match self.native.update(update).await? {
            Updated::Missing => {}
            outcome => return Ok(outcome),
        }
        let Update { key, record, ttl, .. } = update;
        let outcome = if self.moves_at_once() {
            let to_native = Rotation::new(key, key, record, ttl);
            self.express
                .move_to(&self.native.name(key), Destination::Native(self.native.bytes(record)?), &to_native)
                .await?
        } else {
            self.express.swap(update).await?
        };
        match outcome {
            // Another instance may have moved it in between.
            Updated::Missing => self.native.update(update).await,
            outcome => Ok(outcome),
        }
    }

    /// An update that follows the marker in Express' layout. The session behind it may be in either layout,
    /// and stays in it.
    async fn follow(&self, update: Update<'_>) -> Result<Updated, Error> {
        match self.update_in_place(update).await? {
            Updated::Moved => {}
            outcome => return Ok(outcome),
        }
        match self.express.successor(&update).await? {
            Followed::To(successor) => {
                self.update_in_place(Update { key: &successor, follow: false, ..update }).await
            }
            Followed::Before => Ok(Updated::Updated),
            // The marker is in this crate's own layout, or gone.
            Followed::Nowhere => self.native.update(update).await,
        }
    }

    async fn update_in_place(&self, update: Update<'_>) -> Result<Updated, Error> {
        match self.native.update(update).await? {
            Updated::Missing => {}
            outcome => return Ok(outcome),
        }
        match self.express.swap(update).await? {
            // Another instance may have moved it in between.
            Updated::Missing => self.native.update(update).await,
            outcome => Ok(outcome),
        }
    }

    pub(super) async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
        ttl: Ttl,
    ) -> Result<bool, Error> {
        Ok(self.native.touch(key, expected, expires_at, ttl).await?
            || self.express.touch(key, expected, expires_at, ttl).await?)
    }

    pub(super) async fn rotate(&self, rotation: Rotation<'_>) -> Result<Updated, Error> {
        match self.native.rotate(rotation).await? {
            Updated::Missing => {}
            outcome => return Ok(outcome),
        }
        let outcome = if self.moves_at_once() {
            let value = Destination::Native(self.native.bytes(rotation.record)?);
            self.express.move_to(&self.native.name(rotation.new), value, &rotation).await?
        } else if self.leaving {
            let make = || self.native.make(rotation.new, rotation.record, rotation.ttl);
            let mut made = make().await?;
            if matches!(made, Made::Not) {
                // Was it this one, of a rotation that is sent twice, and ended before it was looked at?
                made = make().await?;
            }
            if matches!(made, Made::Not) {
                return Err(in_use());
            }
            let (outcome, in_vain) = self.express.leave(matches!(made, Made::Now), &rotation).await?;
            if in_vain {
                self.native.delete(rotation.new).await?;
            }
            outcome
        } else {
            self.express.rotate(rotation).await?
        };
        match outcome {
            Updated::Missing => self.native.rotate(rotation).await,
            outcome => Ok(outcome),
        }
    }

    pub(super) async fn delete(&self, key: &SessionKey) -> Result<bool, Error> {
        // A key that a scan found in this crate's own layout tells no id of Express.
        if key.express_id().is_none() {
            return self.native.delete(key).await;
        }
        self.express.delete_beside(key, Some(&self.native)).await
    }

    /// Whether a write takes a session from one layout to the other in one step. In a cluster no step
    /// reaches both: there, a session moves when it gets a new id.
    fn moves_at_once(&self) -> bool {
        self.leaving && self.express.is_on_one_server()
    }
}

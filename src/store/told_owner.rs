//! Whose session it is by its data, where another service signs users in.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::error::Error;
use crate::record::{Owner, Payload, Record};

/// Who is signed in by a session's data, if anybody is.
pub(crate) struct Told(pub(crate) Option<Owner>);

/// How the owner is found in a session's data: `None` where that tells nothing, since it is of another type.
pub(crate) type OwnerFrom = dyn Fn(&Payload) -> Option<Told> + Send + Sync;

/// What a manager says of that to its store, which shares its sessions with a service that knows no owner. The
/// sessions that the store reads have this owner, whatever their records say.
#[derive(Clone, Default)]
pub(crate) struct ToldOwner(Arc<OnceLock<Box<OwnerFrom>>>);

impl ToldOwner {
    pub(crate) fn set(&self, owner_from: Box<OwnerFrom>) -> Result<(), Error> {
        self.0.set(owner_from).map_err(|_| {
            let message = "the managers of one store cannot each have an `owner_from`: the store applies it for \
                all of them";
            Error::Config(message.to_owned())
        })
    }

    /// The owner in the data of a session; `None` where that does not tell, or nobody said how to find it.
    pub(crate) fn find(&self, data: &Payload) -> Option<Told> {
        self.0.get()?(data)
    }

    /// Gives a record that was read the owner that its data tells.
    #[cfg_attr(not(feature = "express"), expect(dead_code, reason = "no other layout is shared"))]
    pub(crate) fn attribute(&self, record: &mut Record) {
        if let Some(Told(told)) = self.find(&record.data)
            && told != record.owner
        {
            let stored = std::mem::replace(&mut record.owner, told);
            record.written.get_or_insert_default().owner = Some(Box::new(stored));
        }
    }
}

impl fmt::Debug for ToldOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "ToldOwner(..)" } else { "ToldOwner(nobody)" })
    }
}

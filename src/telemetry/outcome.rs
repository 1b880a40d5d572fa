//! How an operation of the store came out, in a word or two: for spans, logs and metrics.

use crate::error::Error;
use crate::id::SessionKey;
use crate::record::Record;
use crate::store::history::{HistoryEntry, HistoryPage};
use crate::store::owner_index::{Entry, IndexInserted, Owned, Verdict};
use crate::store::scan::{OwnersPage, Page, Usage};
use crate::store::{Created, Loaded, Updated};

/// What kind of error it is: a few words, to be counted by.
pub(crate) fn fault(error: &Error) -> &'static str {
    match error {
        Error::Unavailable { .. } | Error::Unfinished { .. } => "unavailable",
        Error::Refused { .. } => "refused",
        Error::Corrupt { .. }
        | Error::Sealed { .. }
        | Error::NewerFormat { .. }
        | Error::Unreadable { .. } => "unreadable",
        _ => "failed",
    }
}

/// What a store answers, as a span shows it: without anything of the session.
pub(crate) trait Answer {
    fn name(&self) -> &'static str;
}

impl Answer for Loaded {
    fn name(&self) -> &'static str {
        match self {
            Self::Found(_) => "found",
            Self::Moved => "moved",
            Self::Absent => "absent",
        }
    }
}

impl Answer for Created {
    fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Taken => "taken",
        }
    }
}

impl Answer for Updated {
    fn name(&self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Stale(_) => "stale",
            Self::Missing => "missing",
            Self::Moved => "moved",
        }
    }
}

/// Of a session that is looked for wherever it is.
impl Answer for Option<(SessionKey, Record)> {
    fn name(&self) -> &'static str {
        if self.is_some() { "found" } else { "absent" }
    }
}

/// Of a touch or a deletion: whether it had an effect.
impl Answer for bool {
    fn name(&self) -> &'static str {
        if *self { "done" } else { "nothing_to_do" }
    }
}

/// Of what was erased: whether there was anything.
impl Answer for u64 {
    fn name(&self) -> &'static str {
        (*self > 0).name()
    }
}

/// Of an operation that has nothing more to say: it is done.
impl Answer for () {
    fn name(&self) -> &'static str {
        "done"
    }
}

impl Answer for IndexInserted {
    fn name(&self) -> &'static str {
        match self.verdict {
            Verdict::Inserted => "entered",
            Verdict::Revoked => "revoked",
            Verdict::Full => "full",
        }
    }
}

/// Of what was read: there is no more to say of it.
macro_rules! read {
    ($($answer:ty),*) => {
        $(impl Answer for $answer {
            fn name(&self) -> &'static str {
                "read"
            }
        })*
    };
}

read!(Owned, Vec<Entry>, Page, OwnersPage, Usage, Vec<HistoryEntry>, HistoryPage);

//! Opens what the store answers, on its way to the engine.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Call, StoreClient};
use crate::engine::at_rest::Known;
use crate::error::Error;
use crate::id::SessionId;
use crate::record::Record;
use crate::store::{Loaded, Updated};

/// A load, whose record is opened. Written by hand, as [`Call`] is.
#[must_use]
pub(super) struct Opening<'a, C> {
    client: &'a StoreClient,
    id: &'a SessionId,
    loading: Call<'a, C>,
}

impl<'a, C> Opening<'a, C> {
    pub(super) fn new(client: &'a StoreClient, id: &'a SessionId, loading: Call<'a, C>) -> Self {
        Self { client, id, loading }
    }
}

impl<C: Future<Output = Result<Loaded, Error>> + Unpin> Future for Opening<'_, C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.get_mut();
        match ready!(Pin::new(&mut this.loading).poll(context)) {
            Ok(Loaded::Found(record)) if !this.client.at_rest.is_open(&record) => {
                Poll::Ready(this.client.open(Known::Id(this.id), record).map(Loaded::Found))
            }
            loaded => Poll::Ready(loaded),
        }
    }
}

impl StoreClient {
    /// Opens a record that the store answered, and counts one that does not open.
    pub(super) fn open(&self, known: Known<'_>, record: Record) -> Result<Record, Error> {
        self.at_rest.open(known, record).inspect_err(|error| self.telemetry.unopened(error))
    }

    /// Opens what came before a write.
    pub(super) fn open_stale(&self, known: Known<'_>, updated: Updated) -> Result<Updated, Error> {
        match updated {
            Updated::Stale(record) if !self.at_rest.is_open(&record) => {
                self.open(known, record).map(Updated::Stale)
            }
            updated => Ok(updated),
        }
    }
}

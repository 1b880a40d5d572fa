//! [`StoreClient`]: the door to the store. Nothing else has one, so each operation is seen here: by a span, by
//! the time that it took, and by how it came out.

mod indexed_owner;
mod opening;
mod pruning;
mod rewriting;
mod writes;

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::Mutex;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument as _, Level, Span};

use self::opening::Opening;
use super::at_rest::{AtRest, Known};
use super::history::Recorder;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::{SessionId, SessionKey};
use crate::record::{Owner, OwnerHash, Record};
use crate::store::background::RuntimeHandle;
use crate::store::feed::{Feed, Watch};
use crate::store::history::{History, HistoryBounds, HistoryEntry, HistoryPage};
use crate::store::owner_index::Entry;
use crate::store::scan::{Cursor, OwnersPage, Page, Scan, Usage};
use crate::store::status::StoreStatus;
use crate::store::{Loaded, SessionStore};
use crate::telemetry::Telemetry;
use crate::telemetry::operations::Operation;
use crate::telemetry::outcome::{Answer, fault};
use crate::telemetry::session_events::{EventKind, EventSinks, RevokedBy, Subject};

pub(super) use self::indexed_owner::OwnerSessions;
pub(super) use self::rewriting::Rewriting;
pub(super) use self::writes::Writes;

/// A store, and what became of the operations on it.
pub(crate) struct StoreClient {
    store: Arc<dyn SessionStore>,
    at_rest: AtRest,
    telemetry: Telemetry,
    /// The owners whose revoked sessions a task of this process is deleting.
    sweeps: Mutex<HashSet<Owner>>,
}

impl StoreClient {
    /// A client that has the history of these bounds recorded by a task on the runtime that is its home. Its telemetry is
    /// made of the sinks of events.
    pub(super) fn new(
        store: Arc<dyn SessionStore>,
        at_rest: AtRest,
        (events, telemetry): (EventSinks, impl FnOnce(EventSinks) -> Telemetry),
        history: Option<HistoryBounds>,
        home: RuntimeHandle,
    ) -> Arc<Self> {
        Arc::new_cyclic(|client| {
            let recorder = history.map(|bounds| Recorder::new(client.clone(), bounds, home));
            let events = events.remembered_by(recorder.map(|recorder| Arc::new(recorder) as _));
            Self { store, at_rest, telemetry: telemetry(events), sweeps: Mutex::default() }
        })
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// How the store is, without asking it.
    pub(super) fn status(&self) -> StoreStatus {
        self.store.status()
    }

    /// The session of an id, opened.
    pub(super) fn load<'a>(
        &'a self,
        id: &'a SessionId,
    ) -> impl Future<Output = Result<Loaded, Error>> + Send + 'a {
        let key = id.as_key();
        Opening::new(self, id, self.call(Operation::Load, key, self.store().load(key)))
    }

    /// The same, and never from a copy that the store keeps in this process: what is decided by it may not be undone.
    pub(super) fn load_fresh<'a>(
        &'a self,
        id: &'a SessionId,
    ) -> impl Future<Output = Result<Loaded, Error>> + Send + 'a {
        let key = id.as_key();
        Opening::new(self, id, self.call(Operation::Load, key, self.store().load_fresh(key)))
    }

    /// What is known of the session of a key, whose data may not be open. From no copy, either.
    pub(super) async fn look_up(&self, key: &SessionKey) -> Result<Loaded, Error> {
        Ok(match self.call(Operation::Load, key, self.store().load_fresh(key)).await? {
            Loaded::Found(record) => Loaded::Found(self.at_rest.open_label(key, record)),
            other => other,
        })
    }

    /// The same, with its data opened where that takes no visitor's id.
    pub(super) async fn describe(&self, key: &SessionKey) -> Result<Option<Record>, Error> {
        Ok(match self.look_up(key).await? {
            Loaded::Found(record) => Some(match self.at_rest.open(Known::Key(key), record.clone()) {
                Ok(opened) => opened,
                Err(_) => record,
            }),
            _ => None,
        })
    }

    /// Deletes whatever is there, and lets no index know; [`Writes::delete`] does.
    pub(super) fn delete<'a>(
        &'a self,
        key: &'a SessionKey,
    ) -> impl Future<Output = Result<bool, Error>> + Send + 'a {
        self.call(Operation::Delete, key, self.store().delete(key))
    }

    /// Writes to sessions at `now`, of which the index of owners has to know.
    pub(super) fn at(self: &Arc<Self>, now: Timestamp) -> Writes<'_> {
        Writes::new(self, now)
    }

    /// The sessions of an owner, where an index of them is kept.
    pub(super) fn sessions_of<'a>(
        self: &'a Arc<Self>,
        owner: &'a Owner,
        now: Timestamp,
    ) -> Option<OwnerSessions<'a>> {
        Some(OwnerSessions::new(self, self.store().owners()?, owner, now))
    }

    /// Removes a session that was deleted from the index of owners.
    pub(super) async fn forget(&self, owner: &Owner, gone: &Entry) -> Result<(), Error> {
        let Some(index) = self.store().owners() else { return Ok(()) };
        let gone = std::slice::from_ref(gone);
        self.call(Operation::IndexRemove, None, index.remove(OwnerHash::of(owner), gone, &[])).await
    }

    /// A page of all sessions.
    pub(super) async fn page(&self, cursor: Option<&Cursor>, size: usize) -> Result<Page, Error> {
        self.call(Operation::ScanPage, None, self.scan()?.page(cursor, size)).await
    }

    /// A page of the owners in the index.
    pub(super) async fn owners_page(
        &self,
        cursor: Option<&Cursor>,
        size: usize,
    ) -> Result<OwnersPage, Error> {
        self.call(Operation::ScanOwners, None, self.scan()?.owners_page(cursor, size)).await
    }

    /// About how many sessions there are, and how much room.
    pub(super) async fn usage(&self) -> Result<Usage, Error> {
        self.call(Operation::ScanUsage, None, self.scan()?.usage()).await
    }

    /// Ends a session from outside its own requests, and answers whether it was there.
    pub(super) async fn revoke(
        self: &Arc<Self>,
        key: &SessionKey,
        now: Timestamp,
        by: RevokedBy,
    ) -> Result<bool, Error> {
        let record = match self.look_up(key).await {
            Ok(Loaded::Found(record)) => Some(record),
            Ok(_) => None,
            // Whatever it is, it can be deleted.
            Err(error) if error.is_about_the_record() => None,
            Err(error) => return Err(error),
        };
        let owned = record.as_ref().and_then(|record| {
            let sessions = self.sessions_of(record.entered_owner()?, now)?;
            Some((sessions, Entry::of(key.clone(), record)))
        });
        match owned {
            // Marked first, or else a sign-in or renewal that is on its way could carry it over.
            Some((sessions, entry)) => {
                let label = record.as_ref().and_then(|record| record.label.as_ref());
                sessions.revoke_one(&entry, label, by).await
            }
            None => {
                let was_there = self.delete(key).await?;
                if was_there {
                    let subject = Subject::of(key.clone()).stored(record.as_ref());
                    self.telemetry.tell(EventKind::Revoked { by }, subject);
                }
                Ok(was_there)
            }
        }
    }

    /// Watches an operation that ends sessions by several calls, of which it answers how many there were.
    pub(super) async fn watch(
        &self,
        operation: Operation,
        key: Option<&SessionKey>,
        work: impl Future<Output = Result<u64, Error>>,
    ) -> Result<u64, Error> {
        let (started, span) = (Instant::now(), span(operation, key));
        let ended = work.instrument(span.clone()).await;
        span.record("outcome", ended.as_ref().map_or_else(fault, |ended| (*ended > 0).name()));
        self.telemetry.time(operation, ended.as_ref().err(), started.elapsed());
        Telemetry::tell_of_revoking(operation, &ended);
        ended
    }

    /// Watches a session from now on.
    pub(super) fn watch_key(&self, key: &SessionKey) -> Result<Watch, Error> {
        Ok(self.feed()?.watch(key))
    }

    /// The session of `key`, and the key that it has by now.
    pub(super) async fn find(&self, key: &SessionKey) -> Result<Option<(SessionKey, Record)>, Error> {
        self.call(Operation::FeedFind, key, self.feed()?.find(key)).await
    }

    /// Adds an entry to the history of an owner.
    pub(super) async fn record(
        &self,
        owner: OwnerHash,
        entry: &HistoryEntry,
        bounds: HistoryBounds,
    ) -> Result<(), Error> {
        let record = self.history()?.record(owner, entry, bounds);
        self.call(Operation::HistoryRecord, &entry.session, record).await
    }

    pub(super) async fn history_of(
        &self,
        owner: &Owner,
        bounds: HistoryBounds,
        now: Timestamp,
    ) -> Result<Vec<HistoryEntry>, Error> {
        let list = self.history()?.list(OwnerHash::of(owner), bounds, now);
        let listed = self.call(Operation::HistoryList, None, list).await?;
        Ok(listed.into_iter().map(|entry| self.at_rest.open_entry(entry)).collect())
    }

    /// An entry in the form in which it is to rest.
    pub(super) fn settle_entry(&self, entry: HistoryEntry) -> HistoryEntry {
        self.at_rest.settle_entry(entry)
    }

    /// Erases the history of an owner.
    pub(super) async fn forget_history(&self, owner: &Owner, now: Timestamp) -> Result<u64, Error> {
        let forget = self.history()?.forget(OwnerHash::of(owner), now);
        self.call(Operation::HistoryForget, None, forget).await
    }

    /// A page of all histories.
    pub(super) async fn histories(&self, cursor: Option<&Cursor>, size: usize) -> Result<HistoryPage, Error> {
        let mut page = self.call(Operation::HistoryPage, None, self.history()?.page(cursor, size)).await?;
        for history in &mut page.histories {
            let entries = std::mem::take(&mut history.entries);
            history.entries = entries.into_iter().map(|entry| self.at_rest.open_entry(entry)).collect();
        }
        Ok(page)
    }

    fn history(&self) -> Result<&dyn History, Error> {
        self.store().history().ok_or(Error::Unsupported { what: "keep a history" })
    }

    fn feed(&self) -> Result<&dyn Feed, Error> {
        self.store().feed().ok_or(Error::Unsupported { what: "tell when a session ends" })
    }

    fn scan(&self) -> Result<&dyn Scan, Error> {
        self.store().scan().ok_or(Error::Unsupported { what: "go through its sessions" })
    }

    /// The store itself: called on the `Arc`, which is a store too, an operation would be boxed twice.
    fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    fn call<'a, A, C>(
        &'a self,
        operation: Operation,
        key: impl Into<Option<&'a SessionKey>>,
        call: C,
    ) -> Call<'a, C>
    where
        A: Answer,
        C: Future<Output = Result<A, Error>> + Unpin,
    {
        Call::new(&self.telemetry, operation, key.into(), call)
    }
}

impl fmt::Debug for StoreClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

/// An operation of the store that is watched. Written by hand, since an `async fn` would move the answer,
/// a whole record, once more.
#[must_use]
pub(in crate::engine) struct Call<'a, C> {
    answer: C,
    telemetry: &'a Telemetry,
    operation: Operation,
    started: Option<Instant>,
    span: Option<Span>,
}

impl<'a, C> Call<'a, C> {
    /// Watches the call that `answer` comes of; it is about the session of `key`, or about many.
    fn new(telemetry: &'a Telemetry, operation: Operation, key: Option<&SessionKey>, answer: C) -> Self {
        let started = telemetry.latencies().start(operation);
        // Asked first, since a span that is disabled is not for nothing where `tracing` has its feature `log`.
        let span = (Level::DEBUG <= LevelFilter::current()).then(|| span(operation, key));
        Self { answer, telemetry, operation, started, span }
    }
}

/// A span of an operation, which is about the session of `key`, or about many.
fn span(operation: Operation, key: Option<&SessionKey>) -> Span {
    let operation = operation.name();
    match key {
        Some(key) => tracing::debug_span!("session_store", operation, %key, outcome = Empty),
        None => tracing::debug_span!("session_store", operation, outcome = Empty),
    }
}

impl<A: Answer, C: Future<Output = Result<A, Error>> + Unpin> Future for Call<'_, C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.get_mut();
        let answer = {
            let _entered = this.span.as_ref().map(Span::enter);
            Pin::new(&mut this.answer).poll(context)
        };
        if let Poll::Ready(answer) = &answer {
            if let Some(span) = &this.span {
                span.record("outcome", answer.as_ref().map_or_else(fault, Answer::name));
            }
            if let Some(started) = this.started {
                let took = started.elapsed();
                this.telemetry.time(this.operation, answer.as_ref().err(), took);
            }
        }
        answer
    }
}

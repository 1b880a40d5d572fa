//! Going through all sessions. A store without a [`Scan`] has nothing to prove here.
//!
//! What else is in the store, other tests' sessions for instance, is seen too, and passed over.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::sample::{HOUR, Session, Store, data, delete, rotate, somebody};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::id::SessionKey;
use crate::record::{Label, Owner, Record};
use crate::store::Updated;
use crate::store::owner_index::{Entry, IndexInsert, Stage};
use crate::store::scan::{Cursor, Scan, SessionSummary};
use crate::ttl::Ttl;

/// So small that a few sessions take several pages.
const SMALL: usize = 7;
/// A scan that goes in circles has to end.
const MOST_PAGES: usize = 100_000;

/// A scan on its way from the first page to the last.
struct Walk<'a> {
    scan: &'a dyn Scan,
    size: usize,
    cursor: Option<Cursor>,
    pages: usize,
    seen: HashMap<SessionKey, SessionSummary>,
}

impl<'a> Walk<'a> {
    fn new(scan: &'a dyn Scan, size: usize) -> Self {
        Self { scan, size, cursor: None, pages: 0, seen: HashMap::new() }
    }

    /// Takes in a page, and answers whether there are more.
    async fn step(&mut self) -> Result<bool, Error> {
        let page = self.scan.page(self.cursor.as_ref(), self.size).await?;
        assert!((0.0..=1.0).contains(&page.progress), "a share of {}", page.progress);
        self.seen.extend(page.sessions.into_iter().map(|session| (session.key.clone(), session)));
        self.pages += 1;
        assert!(self.pages < MOST_PAGES, "the scan has no end");
        // As a text, for another process may go on.
        self.cursor = page.next.map(|next| Cursor::new(next.to_string()));
        Ok(self.cursor.is_some())
    }

    async fn finish(mut self) -> Result<HashMap<SessionKey, SessionSummary>, Error> {
        while self.step().await? {}
        Ok(self.seen)
    }
}

async fn many(store: &Store) -> Result<Vec<Session>, Error> {
    let mut sessions = Vec::new();
    for _ in 0..50 {
        sessions.push(Session::created(store).await?);
    }
    Ok(sessions)
}

/// A scan from the first page to the last sees all sessions, each page being asked for by the
/// text of the previous page's cursor.
pub async fn a_scan_sees_every_session(store: &Store) -> Result<(), Error> {
    let Some(scan) = store.scan() else { return Ok(()) };
    let sessions = many(store).await?;
    for size in [SMALL, 1000] {
        let seen = Walk::new(scan, size).finish().await?;
        let missing = sessions.iter().filter(|session| !seen.contains_key(&session.key)).count();
        assert_eq!(missing, 0, "so many sessions were missed by pages of {size}");
    }
    Ok(())
}

/// A session that exists throughout is seen, whatever else begins, ends and moves meanwhile.
pub async fn a_scan_sees_what_stays_while_others_come_and_go(store: &Store) -> Result<(), Error> {
    let Some(scan) = store.scan() else { return Ok(()) };
    let staying = many(store).await?;
    let mut going = many(store).await?.into_iter();
    let mut walk = Walk::new(scan, SMALL);
    while walk.step().await? {
        for _ in 0..10 {
            // For so long only that it comes to an end.
            if walk.pages < 100 {
                Session::created(store).await?;
            }
        }
        if let Some(gone) = going.next() {
            delete(store, &gone).await?;
        }
        if let Some(moved) = going.next() {
            rotate(store, &moved, &moved.renewed()).await?;
        }
    }
    let missing = staying.iter().filter(|session| !walk.seen.contains_key(&session.key)).count();
    assert_eq!(missing, 0, "so many sessions were missed that were there all the time");
    Ok(())
}

/// A scan's summary of a session matches its record.
pub async fn a_scan_tells_what_records_hold(store: &Store) -> Result<(), Error> {
    let Some(scan) = store.scan() else { return Ok(()) };
    let plain = Session::fresh().record;
    let full = Record {
        created_at: Timestamp::from_millis(1),
        idle_timeout: Some(Duration::from_millis(1)),
        absolute_deadline: Some(Timestamp::from_millis(u64::MAX)),
        owner: Some(Owner::new("é".repeat(Owner::MAX_LENGTH / 2))?),
        label: Some(Label::new("l".repeat(Label::MAX_LENGTH))?),
        data: data(vec![b'x'; 65_536]),
        ..plain.next()
    };
    let empty = Record { data: data(""), owner: Some(Owner::new("a")?), ..plain.next() };
    let mut sessions = Vec::new();
    for record in [plain, full, empty] {
        let session = Session { record, ..Session::fresh() };
        store.create(&session.key, &session.record, super::sample::hour()).await?;
        sessions.push(session);
    }
    let seen = Walk::new(scan, 1000).finish().await?;
    for session in sessions {
        let summary = SessionSummary::new(session.key.clone(), &session.record);
        assert_eq!(seen.get(&session.key), Some(&summary));
    }
    Ok(())
}

/// A session with a new id is seen under the new one, and not under the old one.
pub async fn a_scan_does_not_see_markers(store: &Store) -> Result<(), Error> {
    let Some(scan) = store.scan() else { return Ok(()) };
    let old = Session::created(store).await?;
    let new = old.renewed();
    assert_eq!(rotate(store, &old, &new).await?, Updated::Updated);
    let seen = Walk::new(scan, 1000).finish().await?;
    assert!(seen.contains_key(&new.key), "the session has this id by now");
    assert!(!seen.contains_key(&old.key), "the session has another id by now");
    Ok(())
}

/// Sessions that were deleted, or have expired, are not seen.
pub async fn a_scan_does_not_see_what_has_ended(store: &Store) -> Result<(), Error> {
    let Some(scan) = store.scan() else { return Ok(()) };
    let deleted = Session::created(store).await?;
    delete(store, &deleted).await?;
    let life = Duration::from_millis(300);
    let expired = Session::fresh();
    store.create(&expired.key, &expired.record, Ttl::new(life)).await?;
    tokio::time::sleep(life + Duration::from_millis(700)).await;
    let seen = Walk::new(scan, 1000).finish().await?;
    assert!(!seen.contains_key(&deleted.key), "it was deleted");
    assert!(!seen.contains_key(&expired.key), "it has expired");
    Ok(())
}

/// A text that is not a cursor is an error, without further effect.
pub async fn a_scan_refuses_what_is_no_cursor(store: &Store) -> Result<(), Error> {
    let Some(scan) = store.scan() else { return Ok(()) };
    for text in ["", "\0", "a cursor of nobody", "é;;;;;;;;;;;;;;", "-1", "18446744073709551616"] {
        match scan.page(Some(&Cursor::new(text)), SMALL).await {
            Err(Error::InvalidInput { .. }) => {}
            other => panic!("{text:?} is no cursor: {other:?}"),
        }
    }
    Ok(())
}

/// A walk through the pages of owners sees everybody with entries in the index, each page being asked for by the text of
/// the previous page's cursor; and nobody who has none any more.
pub async fn a_scan_sees_every_owner(store: &Store) -> Result<(), Error> {
    let (Some(scan), Some(index)) = (store.scan(), store.owners()) else { return Ok(()) };
    let (mut expected, gone) = (HashSet::new(), somebody());
    for owner in [gone].into_iter().chain((0..20).map(|_| somebody())) {
        let session = Session::fresh();
        let entry = Entry::of(session.key, &session.record);
        index.insert(owner, IndexInsert::new(&entry, HOUR, Stage::Before)).await?;
        if owner == gone {
            index.remove(owner, &[entry], &[]).await?;
        } else {
            expected.insert(owner);
        }
    }
    for size in [SMALL, 1000] {
        let (mut cursor, mut seen, mut pages): (Option<Cursor>, _, _) = (None, HashSet::new(), 0);
        loop {
            let page = scan.owners_page(cursor.as_ref(), size).await?;
            assert!((0.0..=1.0).contains(&page.progress), "a share of {}", page.progress);
            seen.extend(page.owners);
            pages += 1;
            assert!(pages < MOST_PAGES, "the scan has no end");
            cursor = page.next.map(|next| Cursor::new(next.to_string()));
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(expected.difference(&seen).count(), 0, "so many owners were missed by pages of {size}");
        assert!(!seen.contains(&gone), "somebody who has no entries");
    }
    for text in ["", "1", "o:", "not a cursor"] {
        let refused = scan.owners_page(Some(&Cursor::new(text)), SMALL).await;
        assert!(matches!(refused, Err(Error::InvalidInput { .. })), "{text:?}: {refused:?}");
    }
    Ok(())
}

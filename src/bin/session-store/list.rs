//! `list`: all sessions, or those of one owner.

use std::cmp::Ordering;
use std::io;
use std::process::ExitCode;

use futures_util::{FutureExt as _, StreamExt as _};
use indicatif::BinaryBytes;
use session_store::{Cursor, Error, Label, Owner, SessionScan, SessionSummary, Timestamp};

use crate::Outcome;
use crate::arguments::{Field, List};
use crate::interrupt::{INTERRUPTED, interrupted};
use crate::keys;
use crate::moments;
use crate::opening::{Naming, Open};
use crate::output::{Column, Fit, Output};
use crate::progress::Progress;
use crate::summary::{end, value};

/// So many lines are laid out, and printed, at once.
const TOGETHER: usize = 100;

/// As the library's own, which holds nobody up.
const LARGEST_PAGE: usize = 250;

pub(crate) async fn run(open: &Open, output: &Output, options: &List) -> Outcome {
    let sorting = options.sort.map(|field| Sorting { field, descends: options.reverse });
    // The first of all that are sorted have all to be seen.
    let (limit, kept) = match (options.limit, sorting) {
        (limit, None) => (limit, usize::MAX),
        (limit, Some(_)) => (None, limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)),
    };
    let progress = Progress::new("listing");
    let mut list = Lines {
        naming: &open.naming,
        output,
        progress: &progress,
        sorting,
        kept,
        waiting: Vec::new(),
        printed: 0,
    };
    if let Some(owner) = &options.owner {
        for session in open.manager.sessions_of(owner).await? {
            list.add(session)?;
        }
        list.finish()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut scan = open.manager.sessions().on_progress(progress.callback());
    if let Some(limit) = limit {
        // A cursor leads to the beginning of a page: the smaller these are, the fewer are listed again.
        scan = scan.page_size(usize::try_from(limit / 2).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE));
    }
    let start = options.resume.as_ref().map(Cursor::new);
    if let Some(cursor) = &start {
        scan = scan.resume(cursor.clone());
    }
    let limit = limit.unwrap_or(u64::MAX);
    let mut interrupt = Box::pin(interrupted());
    // Past the limit where a page is larger than that: whoever goes on from a cursor has to get on.
    while list.count() < limit || scan.cursor() == start.as_ref() {
        let next = match scan.next().now_or_never() {
            Some(next) => next,
            None => {
                // Somebody may be waiting for what has come so far.
                list.print()?;
                tokio::select! {
                    biased;
                    () = &mut interrupt => return list.interrupted(scan),
                    next = scan.next() => next,
                }
            }
        };
        match next {
            Some(Ok(session)) => list.add(session)?,
            None => {
                list.finish()?;
                say_what_is_unreadable(&scan, &open.naming, &progress);
                return Ok(ExitCode::SUCCESS);
            }
            Some(Err(error)) => {
                list.finish()?;
                if !matches!(error, Error::InvalidInput { .. }) {
                    list.say_where(&scan);
                }
                return Err(error.into());
            }
        }
    }
    list.finish()?;
    list.say_where(&scan);
    Ok(ExitCode::SUCCESS)
}

fn say_what_is_unreadable(scan: &SessionScan, naming: &Naming, progress: &Progress) {
    for key in scan.unreadable() {
        let name = keys::name(key, naming);
        progress.suspend(|| eprintln!("session-store: the record of {name} cannot be read"));
    }
}

#[derive(Clone, Copy)]
struct Sorting {
    field: Field,
    /// The last or largest first.
    descends: bool,
}

struct Lines<'a> {
    naming: &'a Naming,
    output: &'a Output,
    progress: &'a Progress,
    sorting: Option<Sorting>,
    /// So many are listed of those that are sorted.
    kept: usize,
    waiting: Vec<SessionSummary>,
    printed: u64,
}

impl Lines<'_> {
    fn add(&mut self, session: SessionSummary) -> io::Result<()> {
        self.waiting.push(session);
        if self.sorting.is_some() {
            if self.waiting.len() >= self.kept.saturating_mul(2).max(TOGETHER) {
                self.sort();
            }
            return Ok(());
        }
        if self.waiting.len() >= TOGETHER { self.print() } else { Ok(()) }
    }

    fn count(&self) -> u64 {
        self.printed + self.waiting.len() as u64
    }

    fn sort(&mut self) {
        if let Some(Sorting { field, descends }) = self.sorting {
            self.waiting.sort_by(|one, other| {
                let order = compare(field, one, other);
                if descends { order.reverse() } else { order }
            });
            self.waiting.truncate(self.kept);
        }
    }

    /// What waits to be printed, unless it waits to be sorted.
    fn print(&mut self) -> io::Result<()> {
        if self.sorting.is_some() { Ok(()) } else { self.finish() }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sort();
        let sessions = std::mem::take(&mut self.waiting);
        let first = self.printed == 0;
        self.printed += sessions.len() as u64;
        if sessions.is_empty() {
            return Ok(());
        }
        self.progress.suspend(|| self.write(&sessions, first))
    }

    fn write(&self, sessions: &[SessionSummary], first: bool) -> io::Result<()> {
        let now = moments::now();
        if self.output.json {
            return sessions.iter().try_for_each(|it| self.output.json(&value(it, self.naming, now)));
        }
        let wide = self.output.wide;
        let cells: Vec<_> = sessions.iter().map(|session| cells(session, self.naming, wide, now)).collect();
        self.output.rows(&COLUMNS, &cells, first)
    }

    /// What is there already is listed, so that the cursor is where it ends.
    fn interrupted(mut self, mut scan: SessionScan) -> Outcome {
        while let Some(Some(Ok(session))) = scan.next().now_or_never() {
            self.add(session)?;
        }
        self.finish()?;
        self.say_where(&scan);
        Ok(ExitCode::from(INTERRUPTED))
    }

    fn say_where(&self, scan: &SessionScan) {
        let Some(cursor) = scan.cursor() else { return };
        self.progress.suspend(|| match self.sorting {
            None => eprintln!("session-store: there may be more: --resume '{cursor}'"),
            Some(_) => eprintln!("session-store: there may be more, also before these"),
        });
    }
}

fn compare(field: Field, one: &SessionSummary, other: &SessionSummary) -> Ordering {
    match field {
        Field::Key => one.key.storage_name().cmp(other.key.storage_name()),
        Field::Owner => one.owner.as_ref().map(Owner::as_str).cmp(&other.owner.as_ref().map(Owner::as_str)),
        Field::Label => one.label.as_ref().map(Label::as_str).cmp(&other.label.as_ref().map(Label::as_str)),
        Field::Created => one.created_at.cmp(&other.created_at),
        Field::Seen => one.last_seen().cmp(&other.last_seen()),
        Field::Ends => end(one).cmp(&end(other)),
        Field::Bytes => one.data_bytes.cmp(&other.data_bytes),
    }
}

const COLUMNS: [Column; 7] = [
    Column("KEY", Some(35), 35, Fit::Left),
    Column("OWNER", Some(11), 20, Fit::Elastic),
    Column("LABEL", Some(11), 20, Fit::Elastic),
    Column("CREATED", None, 20, Fit::Left),
    Column("SEEN", Some(8), 20, Fit::Left),
    Column("ENDS", Some(7), 20, Fit::Left),
    Column("BYTES", None, 10, Fit::Right),
];

fn cells(session: &SessionSummary, naming: &Naming, wide: bool, now: Timestamp) -> Vec<String> {
    let none = || "-".to_owned();
    let time = |moment, relative: fn(Timestamp, Timestamp) -> String| {
        if wide { moments::utc(moment) } else { relative(moment, now) }
    };
    vec![
        keys::name(&session.key, naming),
        session.owner.as_ref().map_or_else(none, |owner| owner.as_str().to_owned()),
        session.label.as_ref().map_or_else(none, |label| label.as_str().to_owned()),
        time(session.created_at, moments::ago),
        session.last_seen().map_or_else(none, |seen| time(seen, moments::ago)),
        time(end(session), moments::ahead),
        BinaryBytes(session.data_bytes as u64).to_string(),
    ]
}

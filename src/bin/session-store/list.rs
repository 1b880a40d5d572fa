//! `list`: all sessions, or those of one owner.

use std::io;
use std::process::ExitCode;

use comfy_table::CellAlignment::{Left, Right};
use futures_util::{FutureExt as _, StreamExt as _};
use indicatif::BinaryBytes;
use session_store::{Cursor, Error, SessionScan, SessionSummary, Timestamp};

use crate::Outcome;
use crate::arguments::List;
use crate::interrupt::interrupted;
use crate::keys;
use crate::moments;
use crate::opening::{Naming, Open};
use crate::output::{Column, Output, rows};
use crate::progress::Progress;
use crate::summary::{end, value};

/// So many lines are laid out, and printed, at once.
const TOGETHER: usize = 100;
const INTERRUPTED: u8 = 130;
/// As the library's own, which holds nobody up.
const LARGEST_PAGE: usize = 250;

pub(crate) async fn run(open: &Open, output: &Output, options: &List) -> Outcome {
    let mut list = Lines { naming: &open.naming, output, waiting: Vec::new(), printed: 0 };
    if let Some(owner) = &options.owner {
        for session in open.manager.sessions_of(owner).await? {
            list.add(session)?;
        }
        list.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::new("listing");
    let mut scan = open.manager.sessions().on_progress(progress.callback());
    if let Some(limit) = options.limit {
        // A cursor leads to the beginning of a page: the smaller these are, the fewer are listed again.
        scan = scan.page_size(usize::try_from(limit / 2).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE));
    }
    let start = options.resume.as_ref().map(Cursor::new);
    if let Some(cursor) = &start {
        scan = scan.resume(cursor.clone());
    }
    let limit = options.limit.unwrap_or(u64::MAX);
    let mut interrupt = Box::pin(interrupted());
    // Past the limit where a page is larger than that: whoever goes on from a cursor has to get on.
    while list.count() < limit || scan.cursor() == start.as_ref() {
        let next = match scan.next().now_or_never() {
            Some(next) => next,
            None => {
                // Somebody may be waiting for what has come so far.
                progress.suspend(|| list.print())?;
                tokio::select! {
                    biased;
                    () = &mut interrupt => return list.interrupted(scan, &progress),
                    next = scan.next() => next,
                }
            }
        };
        match next {
            Some(Ok(session)) => progress.suspend(|| list.add(session))?,
            None => {
                progress.suspend(|| list.print())?;
                say_what_is_unreadable(&scan, &open.naming, &progress);
                return Ok(ExitCode::SUCCESS);
            }
            Some(Err(error)) => {
                progress.suspend(|| list.print())?;
                if !matches!(error, Error::InvalidInput { .. }) {
                    say_where(&scan, &progress);
                }
                return Err(error.into());
            }
        }
    }
    progress.suspend(|| list.print())?;
    say_where(&scan, &progress);
    Ok(ExitCode::SUCCESS)
}

fn say_where(scan: &SessionScan, progress: &Progress) {
    if let Some(cursor) = scan.cursor() {
        progress.suspend(|| eprintln!("session-store: there may be more: --resume '{cursor}'"));
    }
}

fn say_what_is_unreadable(scan: &SessionScan, naming: &Naming, progress: &Progress) {
    for key in scan.unreadable() {
        let name = keys::name(key, naming);
        progress.suspend(|| eprintln!("session-store: the record of {name} cannot be read"));
    }
}

struct Lines<'a> {
    naming: &'a Naming,
    output: &'a Output,
    waiting: Vec<SessionSummary>,
    printed: u64,
}

impl Lines<'_> {
    fn add(&mut self, session: SessionSummary) -> io::Result<()> {
        self.waiting.push(session);
        if self.waiting.len() >= TOGETHER { self.print() } else { Ok(()) }
    }

    fn count(&self) -> u64 {
        self.printed + self.waiting.len() as u64
    }

    fn print(&mut self) -> io::Result<()> {
        let sessions = std::mem::take(&mut self.waiting);
        let first = self.printed == 0;
        self.printed += sessions.len() as u64;
        let now = moments::now();
        if self.output.json {
            return sessions.iter().try_for_each(|it| self.output.json(&value(it, self.naming, now)));
        }
        if sessions.is_empty() {
            return Ok(());
        }
        let cells: Vec<_> = sessions.iter().map(|session| cells(session, self.naming, now)).collect();
        self.output.line(&rows(&COLUMNS, &cells, first))
    }

    /// What is there already is listed, so that the cursor is where it ends.
    fn interrupted(mut self, mut scan: SessionScan, progress: &Progress) -> Outcome {
        while let Some(Some(Ok(session))) = scan.next().now_or_never() {
            progress.suspend(|| self.add(session))?;
        }
        progress.suspend(|| self.print())?;
        say_where(&scan, progress);
        Ok(ExitCode::from(INTERRUPTED))
    }
}

const COLUMNS: [Column; 7] = [
    Column("KEY", 35, Left),
    Column("OWNER", 20, Left),
    Column("LABEL", 20, Left),
    Column("CREATED", 20, Left),
    Column("LAST SEEN", 16, Left),
    Column("ENDS", 16, Left),
    Column("BYTES", 10, Right),
];

fn cells(session: &SessionSummary, naming: &Naming, now: Timestamp) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        keys::name(&session.key, naming),
        session.owner.as_ref().map_or_else(none, |owner| owner.as_str().to_owned()),
        session.label.as_ref().map_or_else(none, |label| label.as_str().to_owned()),
        moments::utc(session.created_at),
        session.last_seen().map_or_else(none, |seen| moments::ago(seen, now)),
        moments::ahead(end(session), now),
        BinaryBytes(session.data_bytes as u64).to_string(),
    ]
}

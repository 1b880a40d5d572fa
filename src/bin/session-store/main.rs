//! `session-store`: the sessions of a service, on the command line.
//!
//! ```sh
//! cargo install session-store --features cli
//! export REDIS_URL=redis://redis.internal:6379    # as the service has it
//!
//! session-store check                  # are these servers fit to keep sessions?
//! session-store stats                  # how many sessions, how much memory
//! session-store watch                  # rates, latencies and memory, live
//! session-store list --owner ada       # whose devices are these?
//! session-store history ada            # when did she sign in, from where, and what ended it?
//! session-store report --since 7d      # sign-ins and ends by day, how long sessions last, new devices
//! session-store show 'mzqk:5okmGZOnqTYaaZ_vniTC_oSHLOGK'
//! session-store ttl 5okmGZOn           # the beginning of a digest will do
//! session-store revoke 5okmGZOn
//! session-store revoke-all ada         # ends all of a user's sessions; --thorough if the index may be lost
//! session-store forget ada --yes       # the same, and erases her history: her account is deleted
//! session-store clear --yes            # signs everybody out
//! session-store tidy --yes             # seals or compresses what is not yet, and clears indexes of sessions that are gone
//! session-store man > session-store.1  # a manual page; `man list` for that of a command
//! ```
//!
//! # Which store
//!
//! The one that the service has: `REDIS_URL` or the other `REDIS_…` variables, `SESSION_PREFIX`,
//! `SESSION_LAYOUT` and `SESSION_EXPRESS_PREFIX`, as
//! [`SessionManager::from_env`](session_store::SessionManager::from_env) reads them. Flags take precedence:
//! `--url`, `--prefix`, `--layout`, and `--timeout`, in place of which `REDIS_TIMEOUT` is not read. With
//! `REDIS_WAIT_REPLICAS`, sessions that are ended here are ended on so many replicas too. No `SESSION_SECRET` is needed;
//! `show` and `tidy` open sealed sessions with the service's `SESSION_SEAL_KEY` or `SESSION_SEAL_KEY_FILE`. A password on a command line can be read by
//! everybody on the machine (`ps`): leave it to the variables, or to `REDIS_PASSWORD_FILE`.
//!
//! # Histories
//!
//! With the service's `SESSION_HISTORY` and `SESSION_HISTORY_AGE`, `revoke`, `revoke-all` and `clear` record what they end in the
//! owners' histories. Without them, it is in no history. Use the service's values: each new entry cuts the history to the
//! bounds that it comes with. `history`, `report` and `forget` see all that is stored, whatever the variables say.
//!
//! # Keys
//!
//! A session is named by what `list` prints, by its key's whole name in Redis, by the digest at the end of that,
//! or by at least eight characters of the digest's beginning, if only one session's begins so. A digest alone is
//! looked for by going through all sessions. Ids, which are what cookies carry, are neither taken nor printed, in
//! the layouts of Express neither, where the names of keys contain them.
//!
//! # Output
//!
//! Tables for people, which fit 80 columns, and have all columns and exact times with `--wide`. Only a terminal
//! has its owners and labels cut. With `--json`, one JSON value, or one in each line for `list`, `history` and `watch`, with
//! the names that [`SessionManager::stats`](session_store::SessionManager::stats) has for the same. Times are in UTC.
//! On a terminal `watch` is a dashboard. Progress and remarks go to standard error, progress only where that is a terminal.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for `check`: all is well |
//! | 1 | a session that was named is not there; for `check`: there are warnings |
//! | 2 | it failed, or was asked for in a wrong way; for `check`: unsafe, or not to be reached |
//! | 130 | interrupted; `list` says by which cursor it goes on |

mod arguments;
mod check;
mod clear;
mod failure;
mod forget;
mod history;
mod interrupt;
mod keys;
mod list;
mod man;
mod moments;
mod opening;
mod output;
mod progress;
mod report;
mod revoke;
mod show;
mod stats;
mod summary;
mod tidy;
mod ttl;
mod usage;
mod watch;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::opening::{Open, Recording};
use crate::output::Output;

/// What a command answers if it does not fail.
type Outcome = Result<ExitCode, Failure>;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::report(&error),
    };
    let output = Output::new(&arguments.printing);
    // A dashboard says itself what is wrong, and lines of the log would go across it.
    let is_quiet = match &arguments.command {
        Command::Watch(watch) => watch::is_dashboard(&output, watch) && io::stderr().is_terminal(),
        _ => false,
    };
    tracing_subscriber::fmt()
        .with_max_level(if is_quiet { LevelFilter::OFF } else { LevelFilter::WARN })
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run(arguments, output)));
    outcome.unwrap_or_else(Failure::report)
}

async fn run(arguments: Arguments, output: Output) -> Outcome {
    let Arguments { connection, command, .. } = arguments;
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Arguments::command(), "session-store", &mut script);
        return output.text(&script);
    }
    if let Command::Man { command } = command {
        return man::run(&output, command.as_deref());
    }
    if let Command::Check = command {
        return check::run(&connection, &output).await;
    }
    let recording = match command {
        Command::Revoke { .. } | Command::RevokeAll(_) | Command::Clear { .. } => Recording::AsTheService,
        // All that is stored is to be seen, and what is erased need not be recorded.
        _ => Recording::Nothing,
    };
    let open = Open::connect(&connection, recording).await?;
    let outcome = match command {
        Command::Stats(options) => stats::run(&open, &output, &options).await,
        Command::List(options) => list::run(&open, &output, &options).await,
        Command::Show(options) => show::run(&open, &output, &options).await,
        Command::Ttl { key } => ttl::run(&open, &output, &key).await,
        Command::History { owner } => history::run(&open, &output, &owner).await,
        Command::Report(options) => report::run(&open, &output, &options).await,
        Command::Revoke { keys } => revoke::some(&open, &output, &keys).await,
        Command::RevokeAll(options) => revoke::all(&open, &output, &options).await,
        Command::Forget(options) => forget::run(&open, &output, &options).await,
        Command::Clear { yes } => clear::run(&open, &output, yes).await,
        Command::Tidy(options) => tidy::run(&open, &output, &options).await,
        Command::Watch(options) => watch::run(&open, &output, &options).await,
        Command::Check | Command::Completions { .. } | Command::Man { .. } => {
            unreachable!("they were seen to")
        }
    };
    // After a failure too, as some may have ended before it; what failed is said before the wait.
    let code = outcome.unwrap_or_else(Failure::report);
    open.finish_recording().await;
    Ok(code)
}

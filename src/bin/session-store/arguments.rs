//! What can be asked for.
#![expect(clippy::doc_markdown, reason = "these comments are what `--help` prints, and that is no Markdown")]

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use session_store::HistoryBounds;

/// Inspect, count, watch and end the sessions of a service that uses session-store
#[derive(Debug, Parser)]
#[command(name = "session-store", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,

    #[command(flatten)]
    pub(crate) printing: Printing,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Exit codes: 0 done, or all is well; 1 a session is not there, or `check` has warnings; 2 failed, wrong usage, or \
`check` found something unsafe; 130 interrupted.

Without --url, the tool reads the variables that the service has: REDIS_URL, or REDIS_CLUSTER_NODES, \
REDIS_SENTINELS, REDIS_HOST and their like. REDIS_PASSWORD or REDIS_PASSWORD_FILE fill in a password.

With the service's SESSION_HISTORY and SESSION_HISTORY_AGE, `revoke`, `revoke-all` and `clear` record what they \
end in the owners' histories.";

#[derive(Debug, Args)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct Connection {
    /// The servers, such as redis://host:6379/0 or rediss-cluster://host,host; instead of REDIS_URL
    ///
    /// Everybody on this machine can read a password in a command line (`ps`): leave it out, and set
    /// REDIS_PASSWORD or REDIS_PASSWORD_FILE, or have the whole URL in REDIS_URL.
    #[arg(short, long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// The prefix of the sessions' keys; instead of SESSION_PREFIX (in the layout `express`, of
    /// SESSION_EXPRESS_PREFIX)
    #[arg(short, long, global = true)]
    pub(crate) prefix: Option<String>,

    /// The prefix of the keys of Express' sessions; instead of SESSION_EXPRESS_PREFIX
    #[arg(long, global = true, value_name = "PREFIX")]
    pub(crate) express_prefix: Option<String>,

    /// How sessions are kept; instead of SESSION_LAYOUT
    #[arg(long, global = true)]
    pub(crate) layout: Option<Layout>,

    /// How long a server may take to answer; REDIS_TIMEOUT is the service's, and not read
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) timeout: f64,

    /// How many keys a second a scan of all sessions may look at; 4000 unless set
    ///
    /// A slower scan holds up the service's own requests less.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_scan_rate: Option<u32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output options")]
pub(crate) struct Printing {
    /// Print JSON, for programs: one value, or one a line for `list`, `history` and `watch`
    #[arg(short, long, global = true)]
    pub(crate) json: bool,

    /// Print all columns of a table, and exact times; such tables are wider than 80 columns
    #[arg(short, long, global = true)]
    pub(crate) wide: bool,

    /// When to color: `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// This crate's own
    Native,
    /// That of express-session and connect-redis
    Express,
    /// Both: new sessions are Express'
    ExpressBeforeMove,
    /// Both: new sessions are this crate's own
    MoveToNative,
}

impl Layout {
    /// As `SESSION_LAYOUT` has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Express => "express",
            Self::ExpressBeforeMove => "express-before-move",
            Self::MoveToNative => "move-to-native",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count sessions and their memory, and show the state of the servers
    Stats(Stats),
    /// List all sessions, or those of one owner
    List(List),
    /// Show a session, with its data as JSON where the codec names the fields
    Show(Show),
    /// Tell when a session ends
    Ttl {
        /// The session, as `list` prints it, or the first eight or more characters of its digest, which takes a
        /// scan of all sessions
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// Show what happened to the sessions of an owner, newest first, where the service keeps a history
    History {
        /// The owner, as the application named it at sign-in
        owner: String,
    },
    /// Sum up what happened to all owners' sessions, where the service keeps histories; takes a scan
    ///
    /// A device is new if its owner's history has no earlier sign-in with its label. Lengths are of sessions that ended:
    /// of those that the store removed when their time was over, nothing is known.
    Report(Report),
    /// End sessions: whoever holds their cookies is signed out
    Revoke {
        /// The sessions, as `list` prints them, or the first eight or more characters of their digests
        #[arg(required = true, value_name = "KEY", allow_hyphen_values = true)]
        keys: Vec<String>,
    },
    /// End all sessions of an owner, even those that requests use or renew meanwhile
    RevokeAll(RevokeAll),
    /// End all sessions of an owner, and erase the owner's history: for an account that is deleted
    ///
    /// Entries that the service is about to record are kept out for a minute. Copies in backups and in the service's audit
    /// log stay.
    Forget(Forget),
    /// End ALL sessions of the store, which signs everybody out
    Clear {
        /// End them; without this, only say how many there are
        #[arg(short, long)]
        yes: bool,
    },
    /// Rewrite sessions stored in an old form, and remove index entries of sessions that are gone
    ///
    /// A form is old if the present settings would store the session otherwise: sealed or not, by another key, compressed
    /// or not. They are the service's SESSION_SEAL_KEY and its like, and SESSION_COMPRESS_ABOVE: without the latter, what is
    /// compressed is stored uncompressed. No session's end moves.
    /// Then entries are removed from the index of owners whose sessions ended without the index being told: another
    /// program, or Redis itself, removed their keys.
    Tidy(Tidy),
    /// Show rates, latencies and memory live, until Ctrl-C
    ///
    /// On a terminal this is a dashboard. Otherwise, or with --count, each reading is a line.
    Watch(Watch),
    /// Check that the servers are fit to keep sessions: reachable, encrypted, with room, evicting nothing
    ///
    /// To see whether the store may do what it has to, this stores a session of nobody and ends it again. The exit
    /// code is 0 if all is well, 1 if there are warnings, 2 if sessions are not safe or nothing can be reached.
    /// What a server does not tell is `unknown`, and no warning.
    Check,
    /// Print completions for a shell, to be sourced: `source <(session-store completions bash)`
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print a manual page: `session-store man > session-store.1`
    Man {
        /// The command whose page to print; without it, that of the whole tool
        command: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Count all sessions in a scan, instead of estimating from a sample
    #[arg(short, long)]
    pub(crate) exact: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// List only the sessions of this owner, from the index of owners, without a scan
    #[arg(short, long, conflicts_with_all = ["resume", "limit"])]
    pub(crate) owner: Option<String>,

    /// Stop after N sessions, and print the cursor to go on with; with --sort, list the first N of all
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,

    /// Go on where an earlier list ended; a few sessions may be listed again
    #[arg(long, value_name = "CURSOR")]
    pub(crate) resume: Option<String>,

    /// Sort by this field; nothing is printed before all sessions have been seen
    #[arg(short, long, value_name = "FIELD", conflicts_with = "resume")]
    pub(crate) sort: Option<Field>,

    /// The last or largest of --sort first
    #[arg(short, long, requires = "sort")]
    pub(crate) reverse: bool,
}

/// What a list is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Field {
    Key,
    Owner,
    Label,
    /// When it began
    Created,
    /// When it was last used
    Seen,
    /// When it ends unless it is used again
    Ends,
    /// How large its data is
    Bytes,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The session, as `list` prints it, or the first eight or more characters of its digest, which takes a scan
    /// of all sessions
    #[arg(allow_hyphen_values = true)]
    pub(crate) key: String,

    /// Leave out its data, which may be personal
    #[arg(long)]
    pub(crate) no_data: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// How far back to look, in minutes, hours, days or weeks: 90m, 24h, 7d, 4w
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = age)]
    pub(crate) since: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeAll {
    /// The owner, as the application named it at sign-in
    pub(crate) owner: String,

    /// Scan all sessions of the store too, for when the index of owners may be incomplete: it was evicted, or
    /// lost with a master
    #[arg(long)]
    pub(crate) thorough: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The owner, as the application named it at sign-in
    pub(crate) owner: String,

    /// Do it; without this, only say how many sessions and entries there are
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Tidy {
    /// Do it; without this, only say how much there is
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Go on where an interrupted run stopped
    #[arg(long, value_name = "CURSOR")]
    pub(crate) resume: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Print N lines and stop; no dashboard
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// The time between two readings
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) interval: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "give seconds, from 0.01 to 3600".to_owned())
}

fn age(text: &str) -> Result<Duration, String> {
    let units = [("m", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400)];
    let seconds = units.into_iter().find_map(|(unit, seconds)| {
        text.strip_suffix(unit)?.parse::<u64>().ok().filter(|count| *count > 0)?.checked_mul(seconds)
    });
    let age = seconds.map(Duration::from_secs).filter(|age| *age <= HistoryBounds::LONGEST_AGE);
    age.ok_or_else(|| "give an age such as 90m, 24h, 7d or 4w, 400d at most".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn ages_have_a_unit_and_a_bound() {
        let seconds = |text| age(text).map(|age| age.as_secs()).ok();
        assert_eq!(["90m", "24h", "7d", "4w"].map(seconds), [5400, 86_400, 604_800, 2_419_200].map(Some));
        for text in
            ["", "7", "d", "0d", "-1d", "1.5d", "401d", "99999999999999999999d", "18446744073709551615w"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}

//! What can be asked for.
#![expect(clippy::doc_markdown, reason = "these comments are what `--help` prints, and that is no Markdown")]

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// The sessions of a service that keeps them with session-store: look, count, watch, end.
#[derive(Debug, Parser)]
#[command(name = "session-store", version, max_term_width = 100, after_help = AFTER)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,

    /// Print JSON, for programs: one value, or one a line for `list` and `watch`
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to color: `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Exit codes: 0 done, or all is well; 1 a session is not there, or `check` has warnings; 2 failed, wrong usage, or \
`check` found something unsafe; 130 interrupted.

Without --url, the servers are named by the variables that the service has: REDIS_URL, or REDIS_CLUSTER_NODES, \
REDIS_SENTINELS, REDIS_HOST and their like. REDIS_PASSWORD or REDIS_PASSWORD_FILE fill in a password.";

#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The servers, such as redis://host:6379/0 or rediss-cluster://host,host; instead of REDIS_URL
    ///
    /// Everybody on this machine can read a password in a command line (`ps`): leave it out, and set
    /// REDIS_PASSWORD or REDIS_PASSWORD_FILE, or have the whole URL in REDIS_URL.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,

    /// What the names of the sessions' keys begin with; instead of SESSION_PREFIX (in the layout `express`, of
    /// SESSION_EXPRESS_PREFIX)
    #[arg(long, global = true)]
    pub(crate) prefix: Option<String>,

    /// What the names of the keys of Express' sessions begin with; instead of SESSION_EXPRESS_PREFIX
    #[arg(long, global = true, value_name = "PREFIX")]
    pub(crate) express_prefix: Option<String>,

    /// How sessions are kept; instead of SESSION_LAYOUT
    #[arg(long, global = true)]
    pub(crate) layout: Option<Layout>,

    /// How many seconds an answer of a server may take; REDIS_TIMEOUT is the service's, and not read
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) timeout: f64,

    /// How many keys a second to look at, at most, where all sessions are gone through; 4000 unless told otherwise
    ///
    /// The fewer, the less others wait for the servers meanwhile.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_scan_rate: Option<u32>,
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
    /// How many sessions there are, what they take, and how the servers are
    Stats(Stats),
    /// All sessions, or those of one owner
    List(List),
    /// What is known of a session, with its data as JSON where its codec names the parts
    Show(Show),
    /// When a session ends
    Ttl {
        /// The session, as `list` prints it, or by eight characters or more of its digest, for which all
        /// sessions are gone through
        #[arg(allow_hyphen_values = true)]
        key: String,
    },
    /// End sessions: whoever holds their cookies is signed out
    Revoke {
        /// The sessions, as `list` prints them, or by eight characters or more of their digests
        #[arg(required = true, value_name = "KEY", allow_hyphen_values = true)]
        keys: Vec<String>,
    },
    /// End all sessions of an owner, whatever is done to them meanwhile
    RevokeAll(RevokeAll),
    /// End ALL sessions of the store, which signs everybody out
    Clear {
        /// Do it; without, it is only said how many there are
        #[arg(long)]
        yes: bool,
    },
    /// How the servers are, line by line, until Ctrl-C
    Watch(Watch),
    /// Whether the servers are fit to keep sessions: reachable, evicting nothing, with room, encrypted …
    ///
    /// To see whether the store may do what it has to, a session of nobody is stored and ended again. The exit
    /// code is 0 if all is well, 1 if there are warnings, 2 if sessions are not safe or nothing can be reached.
    /// What a server does not tell is `unknown`, and no warning.
    Check,
    /// Completions for a shell, to be sourced: `source <(session-store completions bash)`
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Count by going through all sessions, instead of estimating by a sample
    #[arg(long)]
    pub(crate) exact: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those of this owner, by the index of owners: nothing else is looked at
    #[arg(long, conflicts_with_all = ["resume", "limit"])]
    pub(crate) owner: Option<String>,

    /// Stop after so many, and say by which cursor it goes on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,

    /// Go on where an earlier list ended; a few sessions may be listed again
    #[arg(long, value_name = "CURSOR")]
    pub(crate) resume: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The session, as `list` prints it, or by eight characters or more of its digest, for which all
    /// sessions are gone through
    #[arg(allow_hyphen_values = true)]
    pub(crate) key: String,

    /// Leave out its data, which may be personal
    #[arg(long)]
    pub(crate) no_data: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeAll {
    /// The name that the application signed the user in by
    pub(crate) owner: String,

    /// Look at every session of the store besides, as the index of owners may have been evicted, or lost with
    /// a master
    #[arg(long)]
    pub(crate) thorough: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Stop after so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// How many seconds from one line to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) interval: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "give seconds, from 0.01 to 3600".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}

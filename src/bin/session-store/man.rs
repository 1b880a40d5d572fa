//! `man`: manual pages, made from what `--help` says.

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn run(output: &Output, command: Option<&str>) -> Outcome {
    let mut tool = Arguments::command().disable_help_subcommand(true);
    // This gives commands their whole names, and the options of the tool.
    tool.build();
    let page = match command {
        None => Some(&tool),
        Some(name) => tool.find_subcommand(name),
    };
    let page = page.ok_or_else(|| {
        let names: Vec<_> = tool.get_subcommands().map(Command::get_name).collect();
        Failure::Usage(format!("there is no such command: name one of {}", names.join(", ")))
    })?;
    let mut roff = Vec::new();
    let source = concat!("session-store ", env!("CARGO_PKG_VERSION"));
    Man::new(page.clone()).source(source).render(&mut roff)?;
    output.text(&roff)
}

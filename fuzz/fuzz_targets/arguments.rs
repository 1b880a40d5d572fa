//! The tool's arguments, one a line.
#![no_main]
#![allow(dead_code, unreachable_pub, reason = "only parsing is of interest")]

#[path = "../../src/bin/session-store/arguments.rs"]
mod arguments;

use clap::Parser as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let arguments = std::iter::once("session-store").chain(text.lines());
    if let Err(error) = arguments::Arguments::try_parse_from(arguments) {
        drop(error.to_string());
    }
});

//! What is said to arguments that make no sense.

use std::process::ExitCode;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Says what is wrong, and how it would be right, in words that are all the tool's own. clap's would repeat
/// what was written: a URL with its password where it was not expected, or an id out of a cookie.
pub(crate) fn report(error: &Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // Nobody reads it any more if it can't be printed, as in `--help | head -1`.
            let _ = error.print();
        }
        kind => {
            eprintln!("error: {}", fault(kind, error));
            if let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) {
                eprintln!("\n{usage}");
            }
            eprintln!("\nFor more information, try '--help'.");
        }
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn fault(kind: ErrorKind, error: &Error) -> String {
    // The argument that is meant, as `--help` has it, where clap knows it. Of an unknown one this would be what was
    // written.
    let argument = || words(error, ContextKind::InvalidArg).unwrap_or_else(|| "an argument".to_owned());
    match kind {
        ErrorKind::UnknownArgument => {
            let suggested = words(error, ContextKind::SuggestedArg);
            format!("there is an argument that is not known{}", meant(suggested))
        }
        ErrorKind::InvalidSubcommand => {
            let suggested = words(error, ContextKind::SuggestedSubcommand);
            format!("there is no such command{}", meant(suggested))
        }
        ErrorKind::MissingSubcommand => "a command is missing".to_owned(),
        ErrorKind::MissingRequiredArgument => format!("{} is missing", argument()),
        ErrorKind::ArgumentConflict => match words(error, ContextKind::PriorArg) {
            Some(prior) if prior != argument() => format!("{} does not go with {prior}", argument()),
            _ => format!("{} is there twice", argument()),
        },
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => match words(error, ContextKind::ValidValue) {
            Some(valid) => format!("{} has none of its values: {valid}", argument()),
            None => format!("{} has a value that it can't have, or none", argument()),
        },
        ErrorKind::InvalidUtf8 => "there is an argument that is not text (UTF-8)".to_owned(),
        _ => format!("{} has too many values, or too few", argument()),
    }
}

fn meant(suggested: Option<String>) -> String {
    suggested.map(|name| format!(": did you mean {name}?")).unwrap_or_default()
}

fn words(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    }
}

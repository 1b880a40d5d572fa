//! Why a command failed.

use std::io;
use std::process::ExitCode;

use session_store::Error;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The store's words, which hold no secret.
    Store(Error),
    /// It was asked for in a way that does not work.
    Usage(String),
    /// A session that was named is not there.
    Missing(String),
    Output(io::Error),
}

impl Failure {
    /// Says it, and answers the process's exit code.
    pub(crate) fn report(self) -> ExitCode {
        let (words, code) = match self {
            // Whoever reads has seen enough, as in `list | head`.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Store(error) => (error.to_string(), 2),
            Self::Usage(words) => (words, 2),
            Self::Missing(words) => (words, 1),
            Self::Output(error) => (error.to_string(), 2),
        };
        eprintln!("session-store: {words}");
        ExitCode::from(code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

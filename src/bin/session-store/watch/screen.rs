//! The terminal, while a dashboard is on it.

use std::io::{self, Write as _};

use console::Term;

/// Another page of the terminal than what was printed on before, which comes back in the end.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// Whether standard output is a terminal, and one that can move its cursor.
pub(super) fn is_there() -> bool {
    Term::stdout().size_checked().is_some() && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

pub(super) struct Screen(Term);

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let screen = Self(Term::buffered_stdout());
        screen.write(ENTER)?;
        Ok(screen)
    }

    /// Shows the lines for this many columns and lines; a user may have resized the window since the last ones.
    pub(super) fn draw(&self, lines: impl FnOnce((usize, usize)) -> Vec<String>) -> io::Result<()> {
        let (height, width) = self.0.size();
        let lines = lines((width.into(), height.into()));
        // In one piece, and without a line feed at the end, which would scroll a full screen.
        self.write(&format!("{CLEAR}{}", lines.join("\n")))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        (&self.0).write_all(text.as_bytes())?;
        self.0.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal is gone if this fails.
        let _ = self.write(LEAVE);
    }
}

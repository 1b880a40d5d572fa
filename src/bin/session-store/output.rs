//! What is printed: facts and tables for people, JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use console::{Alignment, Term, measure_text_width, pad_str, truncate_str};
use serde_json::Value;
use session_store::checkup::Verdict;

use crate::Outcome;
use crate::arguments::{Printing, When};

pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) wide: bool,
    color: bool,
}

impl Output {
    pub(crate) fn new(printing: &Printing) -> Self {
        let color = match printing.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) && io::stdout().is_terminal()
            }
        };
        Self { json: printing.json, wide: printing.wide, color }
    }

    /// One value, or one of several in lines.
    #[expect(clippy::unused_self, reason = "it reads as the other ways out")]
    pub(crate) fn json(&self, value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{value}")?;
        out.flush()
    }

    #[expect(clippy::unused_self, reason = "it reads as the other ways out")]
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    pub(crate) fn text(&self, text: &[u8]) -> Outcome {
        self.line(String::from_utf8_lossy(text).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }

    /// What is known of one thing.
    pub(crate) fn facts(&self, facts: &[(&str, String)]) -> io::Result<()> {
        let width = facts.iter().map(|(name, _)| measure_text_width(name)).max().unwrap_or_default();
        for (name, fact) in facts {
            self.line(&format!("{}{GAP}{}", pad_str(name, width, Alignment::Left, None), plain(fact)))?;
        }
        Ok(())
    }

    /// Rows under these columns, with their names if these are the first.
    pub(crate) fn rows(&self, columns: &[Column], rows: &[Vec<String>], first: bool) -> io::Result<()> {
        let screen = Term::stdout().size_checked().map(|(_, width)| width.into());
        let form = if self.wide { Form::Wide } else { Form::Narrow { screen } };
        self.line(&lay_out(columns, rows, first, form))
    }

    pub(crate) fn verdict(&self, verdict: Verdict) -> String {
        let color = match verdict {
            Verdict::Fine => AnsiColor::Green,
            Verdict::Warning => AnsiColor::Yellow,
            Verdict::Unsafe => AnsiColor::Red,
            _ => AnsiColor::Cyan,
        };
        let style = if self.color { Style::new().fg_color(Some(color.into())) } else { Style::new() };
        format!("{style}{verdict:<7}{style:#}")
    }
}

/// Between columns.
const GAP: &str = "  ";
/// What elastic columns share where nothing limits them.
const UNLIMITED: usize = 100;

/// A column of a table that is printed in parts: its name; its width in the narrow form, if it is there; and in
/// the wide one.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Option<usize>, pub(crate) usize, pub(crate) Fit);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Left,
    /// For numbers.
    Right,
    /// In the narrow form it takes what is left of the screen, and is cut there.
    Elastic,
}

#[derive(Clone, Copy)]
enum Form {
    /// Without a screen nothing is cut, as somebody may want to process it.
    Narrow {
        screen: Option<usize>,
    },
    Wide,
}

fn lay_out(columns: &[Column], rows: &[Vec<String>], first: bool, form: Form) -> String {
    let (room, is_cut) = match form {
        Form::Narrow { screen } => (screen.unwrap_or(UNLIMITED), screen.is_some()),
        Form::Wide => (0, false),
    };
    let width = |column: &Column| if let Form::Wide = form { Some(column.2) } else { column.1 };
    let needed = columns.iter().filter_map(width).map(|width| width + GAP.len()).sum::<usize>() - GAP.len();
    let elastic = columns.iter().filter(|column| column.3 == Fit::Elastic).count();
    let share = room.saturating_sub(needed).checked_div(elastic).unwrap_or_default();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = columns.iter().zip(cells).filter_map(|(column, text)| {
            let (width, text) = (width(column)?, plain(text));
            Some(match column.3 {
                Fit::Left => pad_str(&text, width, Alignment::Left, None).into_owned(),
                Fit::Right => pad_str(&text, width, Alignment::Right, None).into_owned(),
                Fit::Elastic => {
                    let width = width + share;
                    let text = if is_cut { truncate_str(&text, width, "…") } else { text.into() };
                    pad_str(&text, width, Alignment::Left, None).into_owned()
                }
            })
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    let names = first.then(|| line(&mut columns.iter().map(|column| column.0)));
    let rows = rows.iter().map(|row| line(&mut row.iter().map(String::as_str)));
    names.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// Owners and labels come from visitors: none of it may move the cursor of a terminal, or turn text around.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |c: char| {
        let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns { char::REPLACEMENT_CHARACTER } else { c }
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_visitors_say_moves_no_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}1m\u{202e}c\n"), "a\u{fffd}[2Jb\u{fffd}1m\u{fffd}c\u{fffd}");
        assert_eq!(plain("Zoë 🦊"), "Zoë 🦊");
    }

    const COLUMNS: [Column; 3] = [
        Column("NAME", Some(6), 6, Fit::Elastic),
        Column("EXTRA", None, 5, Fit::Left),
        Column("N", Some(4), 4, Fit::Right),
    ];

    fn lines(names: &[&str], form: Form) -> Vec<String> {
        let row = |name: &&str| vec![(*name).to_owned(), "more".to_owned(), "22".to_owned()];
        let rows: Vec<_> = names.iter().map(row).collect();
        // In parts, as a long list comes.
        let first = lay_out(&COLUMNS, &rows[..1], true, form);
        let rest = lay_out(&COLUMNS, &rows[1..], false, form);
        first.lines().chain(rest.lines()).map(str::to_owned).collect()
    }

    #[test]
    fn a_narrow_table_fits_its_screen() {
        let names = ["a very long name", "日本語の名前", "Zoë"];
        for screen in [12, 15, 20, 80] {
            for line in lines(&names, Form::Narrow { screen: Some(screen) }) {
                assert_eq!(measure_text_width(&line), screen, "{line:?}");
            }
        }
        let lines = lines(&names, Form::Narrow { screen: Some(12) });
        assert_eq!(lines[..3], ["NAME       N", "a ver…    22", "日本…     22"]);
    }

    #[test]
    fn nothing_is_cut_where_there_is_no_screen() {
        let long = "x".repeat(2 * UNLIMITED);
        let narrow = lines(&[&long, "short"], Form::Narrow { screen: None });
        assert!(narrow[1].starts_with(&long) && narrow[1].ends_with("  22"), "{narrow:?}");
        assert_eq!(measure_text_width(&narrow[2]), UNLIMITED);
        let wide = lines(&[&long, "short"], Form::Wide);
        assert_eq!(wide[0], "NAME    EXTRA     N");
        assert!(wide[1].starts_with(&long) && wide[1].ends_with("  more     22"), "{wide:?}");
        assert_eq!(wide[2], "short   more     22");
    }
}

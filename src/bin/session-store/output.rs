//! What is printed: tables for people, JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use serde_json::Value;
use session_store::checkup::Verdict;

use crate::Outcome;
use crate::arguments::{Arguments, When};

pub(crate) struct Output {
    pub(crate) json: bool,
    color: bool,
}

impl Output {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let color = match arguments.color {
            When::Always => true,
            When::Never => false,
            When::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) && io::stdout().is_terminal()
            }
        };
        Self { json: arguments.json, color }
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

    pub(crate) fn text(&self, write: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        let mut text = Vec::new();
        write(&mut text);
        self.line(String::from_utf8_lossy(&text).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }

    /// What is known of one thing.
    pub(crate) fn facts(&self, facts: &[(&str, String)]) -> io::Result<()> {
        let mut table = bare();
        for (name, fact) in facts {
            table.add_row([(*name).to_owned(), plain(fact)]);
        }
        for column in table.column_iter_mut() {
            column.set_padding(GAP);
        }
        self.line(&trimmed(&table))
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
const GAP: (u16, u16) = (0, 2);

/// A column of a table that is printed in parts: its name and its width; numbers are on the right.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) u16, pub(crate) CellAlignment);

/// Rows under these columns, with their names if these are the first.
pub(crate) fn rows(columns: &[Column], rows: &[Vec<String>], first: bool) -> String {
    let mut table = bare();
    if first {
        table.add_row(columns.iter().map(|column| column.0.to_owned()));
    }
    for row in rows {
        let row = comfy_table::Row::from(row.iter().map(|text| plain(text)));
        table.add_row(row);
    }
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
    for (index, Column(_, width, alignment)) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            column.set_padding(GAP);
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + GAP.1)));
            column.set_cell_alignment(*alignment);
        }
    }
    trimmed(&table)
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
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

    #[test]
    fn parts_of_a_table_have_the_same_columns() {
        let columns = [Column("NAME", 6, CellAlignment::Left), Column("N", 4, CellAlignment::Right)];
        let first = rows(&columns, &[vec!["a very long name".into(), "1".into()]], true);
        let second = rows(&columns, &[vec!["日本".into(), "22".into()]], false);
        let lines: Vec<_> = first.lines().chain(second.lines()).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].ends_with('N') && lines[1].ends_with('1') && lines[2].ends_with("22"), "{lines:?}");
        let characters = |line: &str| line.chars().count();
        assert_eq!(characters(lines[0]), characters(lines[1]), "{lines:?}");
    }
}

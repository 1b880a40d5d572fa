//! The dashboard: a line for each series, with its value, the highest one shown, and how it went.

use std::collections::VecDeque;
use std::io;

use console::{Alignment, pad_str, truncate_str};
use session_store::Error;

use super::reading::{Reading, SERIES, Series};
use super::screen::Screen;
use crate::moments;
use crate::output::plain;
use crate::stats::whole;

/// More than any screen has columns.
const REMEMBERED: usize = 1000;
const NAME: usize = 10;
const VALUE: usize = 11;
/// With fewer columns, the space of the highest value is given to the graph.
const ROOMY: usize = 60;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) struct Dashboard {
    screen: Screen,
    /// What is watched, in words.
    subject: String,
    history: VecDeque<Option<Reading>>,
}

impl Dashboard {
    pub(super) fn new(screen: Screen, subject: String) -> Self {
        Self { screen, subject, history: VecDeque::new() }
    }

    /// Shows the latest reading, or why there is none.
    pub(super) fn add(&mut self, reading: Result<Reading, &Error>) -> io::Result<()> {
        let fault = reading.as_ref().err().copied();
        let title = format!("{}  {}", moments::utc(moments::now()), self.subject);
        remember(&mut self.history, reading.ok());
        self.screen.draw(|size| draw(&title, fault, &self.history, size))
    }
}

fn remember(history: &mut VecDeque<Option<Reading>>, reading: Option<Reading>) {
    history.push_back(reading);
    if history.len() > REMEMBERED {
        history.pop_front();
    }
}

/// At most so many lines, none with more than so many columns.
fn draw(
    title: &str,
    fault: Option<&Error>,
    history: &VecDeque<Option<Reading>>,
    (width, height): (usize, usize),
) -> Vec<String> {
    let is_roomy = width >= ROOMY;
    let texts = NAME + 2 + VALUE + 2 + if is_roomy { VALUE + 2 } else { 0 };
    let shown = width.saturating_sub(texts);
    let line = |name: &str, now: &str, highest: &str, graph: &str| {
        let name = pad_str(name, NAME, Alignment::Left, None);
        let value = |text| pad_str(text, VALUE, Alignment::Right, None);
        let highest = if is_roomy { format!("{}  ", value(highest)) } else { String::new() };
        format!("{name}  {}  {highest}{graph}", value(now))
    };
    let of_series = |series: &Series| {
        let values: Vec<_> = history
            .iter()
            .skip(history.len().saturating_sub(shown))
            .map(|reading| reading.as_ref().and_then(series.value))
            .collect();
        let text = |value: Option<f64>| value.map_or("-".to_owned(), series.text);
        // Without a graph there is still a value.
        let now = history.back().and_then(|reading| reading.as_ref().and_then(series.value));
        let highest = values.iter().copied().flatten().reduce(f64::max);
        line(series.name, &text(now), &text(highest), &spark(&values))
    };
    let fault = fault.map(|error| plain(&error.to_string())).unwrap_or_default();
    let head = [plain(title), fault, line("", "NOW", "HIGHEST", "")];
    let lines = head.into_iter().chain(SERIES.iter().map(of_series)).take(height);
    lines.map(|line| truncate_str(line.trim_end(), width, "…").into_owned()).collect()
}

/// A block for each value, from zero to the highest; where there is none, a gap.
fn spark(values: &[Option<f64>]) -> String {
    let known = || values.iter().copied().flatten();
    let (lowest, highest) = (known().fold(0.0, f64::min), known().fold(0.0, f64::max));
    let block = |value: f64| {
        let share = if highest > lowest { (value - lowest) / (highest - lowest) } else { 0.0 };
        let level = usize::try_from(whole(share * 7.0)).unwrap_or_default();
        BLOCKS[level.min(7)]
    };
    values.iter().map(|value| value.map_or(' ', block)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use console::measure_text_width;

    use super::*;

    fn history(sessions: impl IntoIterator<Item = Option<u64>>) -> VecDeque<Option<Reading>> {
        let reading = |sessions| Reading {
            sessions: Some(sessions),
            ping: Duration::from_micros(150),
            ..Reading::default()
        };
        sessions.into_iter().map(|sessions| sessions.map(reading)).collect()
    }

    #[test]
    fn the_greater_the_higher_and_a_gap_where_there_was_no_answer() {
        assert_eq!(spark(&[Some(0.0), Some(1.0), Some(2.0), None, Some(7.0)]), "▁▂▃ █");
        assert_eq!(spark(&[Some(-7.0), Some(0.0)]), "▁█");
        assert_eq!(spark(&[Some(0.0), Some(0.0)]), "▁▁");
        assert_eq!(spark(&[]), "");
    }

    #[test]
    fn each_series_has_its_line() {
        let lines = draw("standalone", None, &history([Some(7), Some(0), None, Some(1204)]), (80, 24));
        assert_eq!(lines[..2], ["standalone", ""]);
        assert_eq!(lines[2], "                    NOW      HIGHEST");
        assert_eq!(lines[3], "sessions          1,204        1,204  ▁▁ █");
        assert!(lines[5].starts_with("keys +-/s             -            -"), "{:?}", lines[5]);
        assert_eq!(lines.len(), 3 + SERIES.len());
        let error = Error::unavailable("\u{1b}[2J", None);
        let away = draw("standalone", Some(&error), &history([Some(7), None]), (80, 24));
        assert_eq!(away[0], "standalone");
        assert!(away[1].contains("unavailable") && !away[1].contains('\u{1b}'), "{away:?}");
        assert_eq!(away[3], "sessions              -            7  █");
    }

    #[test]
    fn nothing_wraps_and_nothing_scrolls() {
        let long = history((0..2000).map(Some));
        let title = "s".repeat(300);
        let error = Error::unavailable(title.clone(), None);
        for size in [(80, 24), (40, 24), (200, 50), (80, 5), (12, 3), (1, 1), (0, 0)] {
            let lines = draw(&title, Some(&error), &long, size);
            assert!(lines.len() <= size.1, "{size:?}: {lines:?}");
            assert!(lines.iter().all(|line| measure_text_width(line) <= size.0), "{size:?}: {lines:?}");
        }
        for width in [80, 40] {
            let lines = draw("standalone", None, &long, (width, 24));
            assert_eq!(measure_text_width(&lines[3]), width, "the graph takes what is left: {lines:?}");
        }
    }

    #[test]
    fn only_so_much_is_remembered() {
        let mut kept = VecDeque::new();
        for reading in history((0..2000).map(Some)) {
            remember(&mut kept, reading);
        }
        assert_eq!(kept.len(), REMEMBERED);
    }
}

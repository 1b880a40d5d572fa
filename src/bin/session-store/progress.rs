//! How far a long scan is: a bar on standard error, where that is a terminal.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// In thousandths.
const WHOLE: f64 = 1000.0;

pub(crate) struct Progress(ProgressBar, &'static str);

impl Progress {
    pub(crate) fn new(doing: &'static str) -> Self {
        Self::of("sessions", doing)
    }

    /// The same, where something else than sessions is counted.
    pub(crate) fn of(what: &'static str, doing: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden(), what);
        }
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {bar:30} {percent:>3} %  {msg}  {elapsed}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(doing);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar, what)
    }

    /// To be called with how many there were, and which share of the whole that is.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is from 0 to 1")]
    pub(crate) fn callback(&self) -> impl FnMut(u64, f64) + Send + 'static {
        let (bar, what) = (self.0.clone(), self.1);
        move |count, share| {
            bar.set_position((share.clamp(0.0, 1.0) * WHOLE) as u64);
            bar.set_message(format!("{} {what}", HumanCount(count)));
        }
    }

    /// Prints something above the bar.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

//! The label by which an application tells the metrics of its managers apart.

use std::sync::Arc;

use metrics::Label;

use super::{SessionData, SessionManagerBuilder};
use crate::error::Error;
use crate::telemetry::metrics::Series;

/// What the metrics have themselves, and what recorders add to histograms.
const TAKEN: [&str; 10] =
    ["end", "event", "kind", "le", "operation", "outcome", "quantile", "result", "store", "topology"];

/// Name and value, as they were given.
#[derive(Debug)]
pub(super) struct MetricsLabel(Arc<str>, Arc<str>);

impl<T: SessionData> SessionManagerBuilder<T> {
    /// Puts a label on all [metrics](crate::metrics) of this manager, by which they are told from those of other managers in
    /// this process: a tenant, a plan, an application. Default: none, and the managers add up. Called again, it sets another
    /// label in place of the first.
    ///
    /// Each value has up to 100 series of its own, histograms of some 15 buckets among them, in this process and in whatever
    /// collects them. So name what there are tens of, and never a visitor.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) fails for a name other than letters, digits and underscores, one that begins with a digit or two
    /// underscores, and one that these metrics have already, such as `event`.
    ///
    /// ```
    /// use session_store::{KeyRing, MemoryStore, SessionManager, Values};
    ///
    /// let acme = SessionManager::<Values>::builder(MemoryStore::new(), KeyRing::generate())
    ///     .metrics_label("tenant", "acme")
    ///     .build()?;
    /// // session_store_events_total{event="created",tenant="acme"} …
    /// # Ok::<(), session_store::Error>(())
    /// ```
    pub fn metrics_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metrics_label = Some(MetricsLabel(name.into().into(), value.into().into()));
        self
    }
}

impl MetricsLabel {
    /// Where the metrics go that have this label.
    pub(super) fn series(self) -> Result<Series, Error> {
        let Self(name, value) = self;
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let begins_well = !name.is_empty() && !name.starts_with("__") && !name.as_bytes()[0].is_ascii_digit();
        if !is_word || !begins_well {
            return Err(Error::Config(format!(
                "metrics can't have the label {name:?}: give a word of letters, digits and underscores, such as \"tenant\""
            )));
        }
        if TAKEN.contains(&&*name) {
            return Err(Error::Config(format!(
                "some metrics have a label {name:?} themselves: give another one, such as \"tenant\""
            )));
        }
        Ok(Series::with(Label::new(name, value)))
    }
}

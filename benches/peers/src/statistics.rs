//! What is said of several rounds: the median, with the lowest and the highest beside it.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Spread {
    /// Of one value for each round; there has to be one.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        Self { median: values[values.len() / 2], lowest: values[0], highest: values[values.len() - 1] }
    }

    /// Of the ratios within each round, so that a noisy moment falls on both sides.
    pub fn of_ratios(above: impl IntoIterator<Item = f64>, below: impl IntoIterator<Item = f64>) -> Self {
        Self::of(above.into_iter().zip(below).map(|(above, below)| above / below))
    }
}

/// The order of a round: each begins with another contender than the one before.
pub fn rotated(count: usize, round: usize) -> impl Iterator<Item = usize> {
    // A stride without a common factor with most counts, so that neighbours change, too.
    let start = round * 7;
    (0..count).map(move |index| (start + index) % count)
}

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

/// The order of a round: each begins with another contender than the one before, and every second one
/// goes backwards, so that nobody always comes after the same one.
pub fn rotated(count: usize, round: usize) -> impl Iterator<Item = usize> {
    // More than one further, so that a round does not begin with what the last one had second.
    const STRIDE: usize = 7;
    (0..count).map(move |index| {
        let index = if round.is_multiple_of(2) { index } else { count - 1 - index };
        (index + round * STRIDE) % count
    })
}

#[cfg(test)]
mod tests {
    use super::{Spread, rotated};

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let ratio = Spread::of_ratios([2.0, 40.0, 3.0], [1.0, 10.0, 1.0]);
        assert!((ratio.median, ratio.lowest, ratio.highest) == (3.0, 2.0, 4.0), "{ratio:?}");
    }

    #[test]
    fn each_round_has_everybody_once() {
        for round in 0..9 {
            let mut order: Vec<_> = rotated(5, round).collect();
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4], "round {round}");
        }
        assert_ne!(rotated(5, 0).next(), rotated(5, 1).next());
    }
}

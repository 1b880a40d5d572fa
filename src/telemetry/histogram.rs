//! How long things took: counted into buckets whose bounds never change, so that counting takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Durations, counted in buckets.
///
/// As JSON it is `count`, `sumSeconds`, `p50Seconds`, `p90Seconds` and `p99Seconds`, the last three `null`
/// if nothing was counted: the summary for people. The buckets, which can be added up over
/// instances, are for programs, and are in the metrics.
///
/// ```
/// use session_store::{KeyRing, MemoryStore, SessionManager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), session_store::Error> {
/// let manager = SessionManager::<u32>::builder(MemoryStore::new(), KeyRing::generate()).build()?;
/// let request = manager.begin(None);
/// request.session().await?.write(|visits| *visits += 1)?;
/// let _ = request.finish(200).await;
///
/// let creating = manager.stats().await.store_latencies.create;
/// assert_eq!(creating.count, 1);
/// assert!(creating.quantile(0.99).is_some_and(|seconds| seconds < 1.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// The number of durations.
    pub count: u64,
    /// Their sum in seconds.
    pub sum_seconds: f64,
    /// Upper bounds in seconds, with the number of durations above the bound before and up to this one. The last bound
    /// is infinity.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Estimates the quantile for `share`, from 0 to 1, in seconds: exact to within a bucket, in
    /// which it is interpolated as Prometheus does. `None` if nothing was counted; the last finite
    /// bound if the quantile lies beyond it. See the [example](Self).
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.buckets.iter().map(|(_, count)| count).sum();
        if total == 0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * as_float(total);
        let (mut below, mut lower) = (0.0, 0.0);
        for (upper, count) in &self.buckets {
            let count = as_float(*count);
            if upper.is_infinite() {
                break;
            }
            if count > 0.0 && below + count >= rank {
                // None took longer than all together.
                return Some((lower + (upper - lower) * ((rank - below) / count)).min(self.sum_seconds));
            }
            (below, lower) = (below + count, *upper);
        }
        Some(lower)
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
pub(crate) fn as_float(count: u64) -> f64 {
    count as f64
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut summary = serializer.serialize_struct("Histogram", 5)?;
        summary.serialize_field("count", &self.count)?;
        summary.serialize_field("sumSeconds", &self.sum_seconds)?;
        summary.serialize_field("p50Seconds", &self.quantile(0.5))?;
        summary.serialize_field("p90Seconds", &self.quantile(0.9))?;
        summary.serialize_field("p99Seconds", &self.quantile(0.99))?;
        summary.end()
    }
}

/// What counts for a [`Histogram`].
#[derive(Debug)]
pub(crate) struct Tally {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`: a sum of whole nanoseconds could overflow for sessions, and one of whole
    /// milliseconds would be zero for a store in memory.
    sum: AtomicU64,
}

impl Tally {
    /// Buckets up to `bounds`, in seconds and ascending, and one for what takes longer.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let add = |sum| Some((f64::from_bits(sum) + seconds).to_bits());
        let _always_some = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    pub(crate) fn read(&self) -> Histogram {
        Self::read_all(self.bounds, [self])
    }

    /// What several counted together that have these bounds.
    pub(crate) fn read_all<'a>(bounds: &[f64], tallies: impl IntoIterator<Item = &'a Self>) -> Histogram {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let mut read =
            Histogram { buckets: bounds.map(|bound| (bound, 0)).collect(), ..Histogram::default() };
        for tally in tallies {
            for ((_, count), counted) in read.buckets.iter_mut().zip(&tally.counts) {
                *count += counted.load(Ordering::Relaxed);
            }
            read.sum_seconds += f64::from_bits(tally.sum.load(Ordering::Relaxed));
        }
        read.count = read.buckets.iter().map(|(_, count)| count).sum();
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [f64; 3] = [1.0, 2.0, 4.0];

    fn of(seconds: &[u64]) -> Histogram {
        let tally = Tally::new(&BOUNDS);
        for seconds in seconds {
            tally.add(Duration::from_secs(*seconds));
        }
        tally.read()
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = of(&[0, 1, 2, 3, 4, 5, 1000]);
        assert_eq!(histogram.buckets, [(1.0, 2), (2.0, 1), (4.0, 2), (f64::INFINITY, 2)]);
        assert_eq!(histogram.count, 7);
        assert!((histogram.sum_seconds - 1015.0).abs() < 1e-9);
    }

    #[test]
    fn what_several_counted_adds_up() {
        let tallies = [Tally::new(&BOUNDS), Tally::new(&BOUNDS)];
        tallies[0].add(Duration::from_secs(1));
        tallies[1].add(Duration::from_secs(1));
        tallies[1].add(Duration::from_secs(3));
        assert_eq!(Tally::read_all(&BOUNDS, &tallies), of(&[1, 1, 3]));
        assert_eq!(Tally::read_all(&BOUNDS, []), of(&[]));
    }

    #[test]
    fn quantiles_are_interpolated_within_the_buckets_that_there_are() {
        let quantile = |seconds: &[u64], share| of(seconds).quantile(share);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[3, 3], 0.5), Some(3.0));
        assert_eq!(quantile(&[1, 1, 3, 3], 0.5), Some(1.0));
        assert_eq!(quantile(&[1, 2, 3, 4], 1.0), Some(4.0));
        // Longer than all bounds: that much is certain.
        assert_eq!(quantile(&[1000], 0.5), Some(4.0));
        assert_eq!(quantile(&[1], 2.0), Some(1.0));
        assert_eq!(quantile(&[3], 0.99), Some(3.0));
    }

    #[test]
    fn as_json_it_is_a_summary() {
        let json = serde_json::to_value(of(&[3, 3])).unwrap();
        let expected = serde_json::json!({
            "count": 2, "sumSeconds": 6.0, "p50Seconds": 3.0, "p90Seconds": 3.8, "p99Seconds": 3.98,
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::to_value(of(&[])).unwrap()["p99Seconds"], serde_json::Value::Null);
    }
}

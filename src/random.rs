//! The one source of randomness: the operating system's generator.

/// `N` fresh bytes.
///
/// # Panics
///
/// If the operating system has no randomness to give. A process in that state must not issue ids,
/// and nothing that a caller could do would help.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random generator failed");
    bytes
}

/// Somewhere in the second half of `delay`: instances that lost the same server come back one by one.
#[cfg(any(feature = "json", feature = "memory", feature = "redis"))]
pub(crate) fn jittered(delay: std::time::Duration) -> std::time::Duration {
    let [byte] = bytes();
    delay.mul_f64(0.5 + f64::from(byte) / 512.0)
}

#[cfg(all(test, any(feature = "json", feature = "memory", feature = "redis")))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn jitter_spreads_over_the_second_half_of_the_delay() {
        let delay = Duration::from_secs(1);
        for _ in 0..1000 {
            let jittered = jittered(delay);
            assert!(delay / 2 <= jittered && jittered < delay, "{jittered:?}");
        }
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
    }
}

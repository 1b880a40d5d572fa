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

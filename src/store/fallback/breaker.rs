//! Judges by the primary's answers whether new sessions go to memory.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::FallbackPolicy;
use crate::error::Error;

/// So many operations that found the primary unavailable, one after the other, and it counts as down.
const FAILURES_IN_A_ROW: u32 = 3;

#[derive(Debug)]
pub(super) struct Breaker {
    policy: FallbackPolicy,
    failures: AtomicU32,
    /// Whether the primary ever answered.
    answered: AtomicBool,
}

impl Breaker {
    pub(super) fn new(policy: FallbackPolicy) -> Self {
        Self { policy, failures: AtomicU32::new(0), answered: AtomicBool::new(false) }
    }

    /// Takes note of what the primary answered. Says whether that was one failure too many.
    pub(super) fn is_tripped_by<A>(&self, result: &Result<A, Error>) -> bool {
        if matches!(result, Err(Error::Unavailable { .. })) {
            let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            return failures >= FAILURES_IN_A_ROW && self.allows_memory();
        }
        // Reads first: what all threads share is expensive to write to, request after request.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if !self.answered.load(Ordering::Relaxed) {
            self.answered.store(true, Ordering::Relaxed);
        }
        false
    }

    /// Whether the policy lets new sessions go to memory at present, should the primary be down.
    pub(super) fn allows_memory(&self) -> bool {
        match self.policy {
            FallbackPolicy::Never => false,
            FallbackPolicy::AtStart => !self.answered.load(Ordering::Relaxed),
            FallbackPolicy::WhileDown => true,
        }
    }

    pub(super) fn policy(&self) -> FallbackPolicy {
        self.policy
    }
}

//! Rows of the results by what they are about, and the ratios between them.

use crate::results::{HttpRow, HttpSlice, Results, StoreRow, StoreSlice};
use crate::statistics::Spread;
use crate::store_level::Operation;

impl Results {
    pub fn on_redis(&self, tasks: u64, operation: Operation, contender: &str) -> &StoreRow {
        find(&self.store, tasks, operation, contender)
    }

    pub fn on_valkey(&self, tasks: u64, operation: Operation, contender: &str) -> &StoreRow {
        find(&self.valkey, tasks, operation, contender)
    }

    pub fn in_memory(&self, tasks: u64, operation: Operation, contender: &str) -> &StoreRow {
        find(&self.memory, tasks, operation, contender)
    }

    /// The one of these peers that does the most in a second.
    pub fn best_on_redis(&self, tasks: u64, operation: Operation, peers: &[&str]) -> &StoreRow {
        let rows = peers.iter().map(|peer| self.on_redis(tasks, operation, peer));
        let best = rows.max_by(|one, other| one.per_second().median.total_cmp(&other.per_second().median));
        best.expect("there are peers")
    }

    pub fn over_http(&self, scene: &str, framework: &str, contender: &str) -> Option<&HttpRow> {
        let is_it =
            |row: &&HttpRow| row.scene == scene && row.framework == framework && row.contender == contender;
        self.http.iter().find(is_it)
    }

    pub fn memory_usage(&self, contender: &str, payload: &str) -> Option<u64> {
        let row = self.bytes.iter().find(|row| row.contender == contender && row.payload == payload);
        row.map(|row| row.memory)
    }
}

fn find<'r>(rows: &'r [StoreRow], tasks: u64, operation: Operation, contender: &str) -> &'r StoreRow {
    let name = operation.name();
    let is_it = |row: &&StoreRow| row.tasks == tasks && row.operation == name && row.contender == contender;
    rows.iter().find(is_it).unwrap_or_else(|| panic!("nothing measured {name} of {contender}"))
}

/// The row that the ratios of `row` are to.
pub fn floor_of<'r>(rows: &'r [StoreRow], row: &StoreRow) -> Option<&'r StoreRow> {
    rows.iter().find(|floor| floor.tasks == row.tasks && floor.contender == row.floor)
}

impl StoreRow {
    pub fn per_second(&self) -> Spread {
        self.spread(|slice| slice.per_second)
    }

    pub fn spread(&self, of: impl Fn(&StoreSlice) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of))
    }

    /// This one over the other, within each round.
    pub fn ratio(&self, other: &Self, of: impl Fn(&StoreSlice) -> f64) -> Spread {
        Spread::of_ratios(self.rounds.iter().map(&of), other.rounds.iter().map(&of))
    }
}

impl HttpRow {
    pub fn per_second(&self) -> Spread {
        self.spread(|slice| slice.per_second)
    }

    pub fn spread(&self, of: impl Fn(&HttpSlice) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of))
    }

    /// Requests a second, this one over the other, within each round.
    pub fn ratio(&self, other: &Self) -> Spread {
        let of = |slice: &HttpSlice| slice.per_second;
        Spread::of_ratios(self.rounds.iter().map(of), other.rounds.iter().map(of))
    }
}

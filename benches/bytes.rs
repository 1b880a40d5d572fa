//! How many bytes of the heap a session takes in a `MemoryStore`, beside what the store counts for it.
//! Prints Markdown.
//!
//! Bytes are those that were asked for; what the allocator adds to each allocation comes on top.

mod support;

use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use session_store::{
    Clock as _, Created, MemoryStore, Payload, Record, SessionId, SessionStore as _, SystemClock, Ttl,
};
use support::{at_once, operation::DAY};

const PAYLOADS: [usize; 5] = [0, 100, 300, 1_000, 10_000];
/// The hash table doubles as it fills, so a session takes more just after that.
const SESSIONS: [u32; 4] = [1_000, 5_000, 10_000, 20_000];
/// Large enough that nothing is evicted.
const CAPACITY: usize = 4 << 30;
/// As long as moka lets pass before a write has it settle what it put off.
const SETTLED: Duration = Duration::from_millis(350);

fn main() {
    let quick = std::env::args().any(|argument| ["--quick", "--test"].contains(&&*argument));
    let sessions = if quick { &SESSIONS[..1] } else { &SESSIONS };
    println!("| data, bytes | the store counts | {} | allocations |", columns(sessions, |n| format!("{n}")));
    println!("|--:|--:|{}--:|", "--:|".repeat(sessions.len()));
    for payload in PAYLOADS {
        let taken: Vec<_> = sessions.iter().map(|number| per_session(payload, *number)).collect();
        let counted = counted(payload);
        let bytes = columns(&taken, |taken| format!("{:.0}", taken.bytes));
        println!("| {payload} | {counted} | {bytes} | {:.1} |", taken[taken.len() - 1].allocations);
    }
}

/// What one of many sessions takes.
struct Taken {
    bytes: f64,
    allocations: f64,
}

fn per_session(payload: usize, number: u32) -> Taken {
    let store = MemoryStore::with_capacity(CAPACITY);
    // The first sessions pay for what is there once.
    fill(&store, payload, 100);
    let AllocationInfo { bytes_current, count_current, .. } = measure(|| fill(&store, payload, number));
    #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
    let each = |sum: i64| sum as f64 / f64::from(number);
    Taken { bytes: each(bytes_current), allocations: each(count_current) }
}

/// Keys and records are made here, so that what the store keeps of them counts, and nothing else.
fn fill(store: &MemoryStore, payload: usize, number: u32) {
    for _ in 0..number {
        create(store, payload).expect("the store has room");
    }
    std::thread::sleep(SETTLED);
    create(store, payload).expect("the store has room");
}

fn create(store: &MemoryStore, payload: usize) -> Result<(), session_store::Error> {
    let now = SystemClock.now();
    let data = Payload { codec: 1, bytes: vec![b'x'; payload].into() };
    let mut record = Record::new(now, now.saturating_add(DAY), data);
    record.idle_timeout = Some(DAY);
    let created = at_once(store.create(&SessionId::generate().key(), &record, Ttl::new(DAY)))?;
    assert_eq!(created, Created::Created);
    Ok(())
}

/// What the store says that a session of so much data counts: the smallest store that takes it.
fn counted(payload: usize) -> usize {
    let fits = |capacity| create(&MemoryStore::with_capacity(capacity), payload).is_ok();
    let (mut too_small, mut enough) = (0_usize, 1 << 20);
    while enough - too_small > 1 {
        let middle = too_small.midpoint(enough);
        if fits(middle) {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    enough
}

fn columns<T>(values: &[T], show: impl Fn(&T) -> String) -> String {
    values.iter().map(show).collect::<Vec<_>>().join(" | ")
}

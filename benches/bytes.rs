//! How many bytes of the heap a session takes in a `MemoryStore`, beside what the store counts for it.
//! Prints Markdown.
//!
//! Bytes of the heap are those that were asked for. What the allocator adds to each allocation shows in
//! the last column: by how much the process grew, on Linux.

mod support;

use std::process::Command;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use session_store::{
    Clock as _, Created, MemoryStore, Payload, Record, SessionId, SessionStore as _, SystemClock, Ttl,
};
use support::{Extent, at_once, operation::DAY};

const PAYLOADS: [usize; 5] = [0, 100, 300, 1_000, 10_000];
const SESSIONS: [u32; 3] = [1_000, 5_000, 20_000];
/// Large enough that nothing is evicted.
const CAPACITY: usize = 4 << 30;
/// Asks this program how much it grows.
const GROWTH: &str = "--growth";
/// As long as moka lets pass before a write has it settle what it put off.
const SETTLED: Duration = Duration::from_millis(350);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [GROWTH, payload, number] = &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let numbers = payload.parse().ok().zip(number.parse().ok());
        let (payload, number) = numbers.expect("two numbers");
        return println!("{}", growth(payload, number));
    }
    let sessions = match Extent::wanted() {
        Extent::Test => &SESSIONS[..1],
        Extent::Short => &SESSIONS[..2],
        Extent::Long => &SESSIONS[..],
    };
    let most = sessions[sessions.len() - 1];
    let headings = columns(sessions, u32::to_string);
    println!("Bytes a session, with so many sessions.\n");
    println!("| data | the store counts | {headings} | allocations | {most}, resident |");
    println!("|--:|--:|{}--:|--:|", "--:|".repeat(sessions.len()));
    for payload in PAYLOADS {
        let taken: Vec<_> = sessions.iter().map(|number| per_session(payload, *number)).collect();
        let counted = counted(payload);
        let bytes = columns(&taken, |taken| format!("{:.0}", taken.bytes));
        let allocations = taken[taken.len() - 1].allocations;
        let resident = growth_of_a_process(payload, most);
        println!("| {payload} | {counted} | {bytes} | {allocations:.1} | {resident} |");
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

/// The same by the system's account, in a process of its own: this one has free memory by now.
fn growth_of_a_process(payload: usize, number: u32) -> String {
    let program = std::env::current_exe().expect("it is running");
    let arguments = [GROWTH, &payload.to_string(), &number.to_string()];
    let output = Command::new(program).args(arguments).output().expect("it ran before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn growth(payload: usize, number: u32) -> String {
    let store = MemoryStore::with_capacity(CAPACITY);
    fill(&store, payload, 100);
    let before = resident_bytes();
    fill(&store, payload, number);
    let grown = resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before));
    grown.map_or_else(|| "?".to_owned(), |grown| (grown / u64::from(number)).to_string())
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kib.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
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
    let data = Payload::new(1, vec![b'x'; payload]);
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

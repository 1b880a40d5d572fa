//! The Lua scripts: what takes Redis more than one command and must be one atomic step.
//!
//! They read and patch the envelope by the offsets that `record/envelope.rs` documents; Lua counts from 1. A
//! name in capitals is a constant that `RECORD` and `MARKER` give.
//! `redis.pcall` hands an error such as `WRONGTYPE` on as Redis worded it, where `redis.call`
//! before Redis 7 wraps it in a text of its own.

use std::sync::LazyLock;

use crate::record::{KNOWN_FLAGS, MARKER_LENGTH, MOVED_FORMAT, RECORD_FORMAT, SHORTEST_RECORD};
use crate::store::redis::script::{Constant, Script};

/// What a script has to know of a record.
const RECORD: [Constant; 3] =
    [("RECORD_FORMAT", &RECORD_FORMAT), ("KNOWN_FLAGS", &KNOWN_FLAGS), ("SHORTEST_RECORD", &SHORTEST_RECORD)];
/// What it has to know of a marker.
const MARKER: [Constant; 2] = [("MARKER_FORMAT", &MOVED_FORMAT), ("MARKER_LENGTH", &MARKER_LENGTH)];

/// Decides whether a write may go on: `ARGV[1]` is the revision that it expects, `ARGV[2]` its
/// record, `ARGV[4]` the most bytes that a record may have. Otherwise answers nil for a missing
/// session, OK where it finds its own revision (it was sent twice; nothing else bears those 64
/// random bits), TOO LARGE for a record above the limit, and else whatever is there: also a record
/// that is cut short (of its fixed part) or has flags that this version doesn't know.
const COMPARE: &str = r"
if type(found) == 'table' then return found end
if found == '' then return false end
local revision, previous, own = found:sub(3, 10), found:sub(11, 18), ARGV[2]:sub(3, 10)
if revision == own or previous == own then return redis.status_reply('OK') end
if #found > tonumber(ARGV[4]) then return redis.status_reply('TOO LARGE') end
if #found < SHORTEST_RECORD or found:byte(1) ~= RECORD_FORMAT or found:byte(2) > KNOWN_FLAGS or revision ~= ARGV[1] then
  return found
end
";

/// One byte more than a record may have tells that it has too many.
const FIND: &str = r"
local found = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[4])";

/// Key; expected revision, record, its time to live, the limit of records.
pub(super) static UPDATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[FIND, COMPARE, "return redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])"], &RECORD)
});

/// Key; expected revision, record, its time to live, the limit of records, prefix.
///
/// Where the key holds a marker, acts on the marker's successor, whose name is not among KEYS: it has the
/// same lineage, so the same Cluster slot. While that migrates, the successor may be on another node;
/// then this answers with Redis' error, and whoever sent it tries again.
pub(super) static UPDATE_FOLLOWING: LazyLock<Script> = LazyLock::new(|| {
    let parts = [
        FIND,
        r"
local key = KEYS[1]
if type(found) == 'string' and #found == MARKER_LENGTH and found:byte(1) == MARKER_FORMAT and found:byte(2) == 0 then
  local own = ARGV[2]:sub(3, 10)
  if found:sub(3, 10) == own or found:sub(11, 18) == own then return redis.status_reply('OK') end
  key = ARGV[5] .. found:sub(19)
  found = redis.pcall('GETRANGE', key, 0, ARGV[4])
end",
        COMPARE,
        "return redis.pcall('SET', key, ARGV[2], 'PX', ARGV[3])",
    ];
    Script::new(&parts, &[&RECORD[..], &MARKER].concat())
});

/// Old and new key; expected revision, record, its time to live, the limit of records, marker, its time
/// to live.
///
/// Answers as an update does, and 0 if the new key is in use.
pub(super) static ROTATE: LazyLock<Script> = LazyLock::new(|| {
    let parts = [
        FIND,
        COMPARE,
        r"
local written = redis.pcall('SET', KEYS[2], ARGV[2], 'PX', ARGV[3], 'NX')
if not written then return 0 end
if written.ok then redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[6]) end
return written
",
    ];
    Script::new(&parts, &RECORD)
});

/// Key; expected revision, end, time to live.
///
/// Answers 1 if it moved the end, 0 if the session ends later already, and else the first bytes of
/// what is there.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    // PEXPIRE goes first: it works at maxmemory, and what follows a script's first write does too.
    // Lua compares strings by locale, hence numbers; a double holds milliseconds exactly.
    let code = r"
local head = redis.pcall('GETRANGE', KEYS[1], 0, SHORTEST_RECORD - 1)
if type(head) == 'table' then return head end
if #head < SHORTEST_RECORD or head:byte(1) ~= RECORD_FORMAT or head:byte(2) > KNOWN_FLAGS or head:sub(3, 10) ~= ARGV[1] then
  return head
end
local ends = struct.unpack('>I8', head, 19)
if ends > struct.unpack('>I8', ARGV[2]) or ends > struct.unpack('>I8', ARGV[4]) then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SETRANGE', KEYS[1], 18, ARGV[2])
return 1
";
    Script::new(&[code], &RECORD)
});

/// How many renewals a script follows: each takes a step, and others wait for it.
pub(super) const FOLLOWED: usize = 500;

/// Key; prefix, and whether to stop at a chain that is longer than [`FOLLOWED`] (1 or 0). Answers how many
/// keys it deleted; or, if it stopped, the name of the key at which the chain goes on, and then nothing is
/// deleted.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    // A successor's name is not among KEYS; it has the same lineage, so the same Cluster slot. While
    // that migrates, it may be on another node than its marker: then nothing is deleted, for without
    // the marker nobody would find it again.
    let code = r"
local key, chain, passed = KEYS[1], {}, {}
while key and not passed[key] and #chain < FOLLOWED do
  local head = redis.pcall('GETRANGE', key, 0, MARKER_LENGTH)
  if type(head) == 'table' and head.err:find('non local', 1, true) then return head end
  chain[#chain + 1], passed[key] = key, true
  key = type(head) == 'string' and #head == MARKER_LENGTH and head:byte(1) == MARKER_FORMAT and ARGV[1] .. head:sub(19)
end
if key and not passed[key] and ARGV[2] == '1' then return key end
return redis.call('DEL', unpack(chain))
";
    Script::new(&[code], &[&MARKER[..], &[("FOLLOWED", &FOLLOWED)]].concat())
});

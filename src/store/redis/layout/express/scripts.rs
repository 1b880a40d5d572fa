//! The Lua scripts of the Express layout.
//!
//! `KEYS[1]` holds the session. A value that this crate wrote ends with the member that `member.rs` describes, and
//! its seal: by the seal one sees whether Node wrote the session since.
//!
//! `KEYS[2]` holds the marker of a rotation, in the field `to` of a hash: where the prefix is empty, connect-redis comes
//! across it, and passes over what is no string. It is the revision that it wrote and the one that it replaced, 11
//! characters each; 1 if the successor's record was made for it right before, else 0; and the successor's id.
//! Lua counts from 1.

use std::sync::LazyLock;

use super::member::{self, SEAL_LENGTH};
use super::value::MAX_LENGTH;
use crate::id::LONGEST_EXPRESS_ID;
use crate::store::redis::script::{Constant, Script};

/// What all of them share. `own` and `previous` are the revisions of the last two writes of this crate that a value
/// knows of. It has the revision `own` if its seal is intact; one that Node wrote last has the beginning of its hash.
/// A value that is too long to be read is not hashed, since nobody else is served for as long. `report` answers
/// with all that a reader needs.
const COMMON: &str = r#"
local marker = redis.pcall('HGET', KEYS[2], 'to')
if type(marker) == 'table' then return marker end
local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then return value end

local fits, own, previous, seal = value and #value <= LIMIT, '', '', ''
if fits then
  local member = value:match('"__session_store":"([%w_-]+)"}$', -LONGEST_MEMBER)
  if member and #member >= SHORTEST_MEMBER then
    own, previous, seal = member:sub(1, 11), member:sub(12, 22), member:sub(-SEAL_LENGTH)
  end
end

local function sealed(body) return redis.sha1hex(body):sub(1, SEAL_LENGTH) end

local function is(expected)
  if not fits then return false end
  if seal ~= '' and sealed(value:sub(1, -SEAL_LENGTH - 3)) == seal then return own == expected:sub(1, 11) end
  return redis.sha1hex(value):sub(1, 16) == expected:sub(12)
end

local function bears(revision) return own == revision or previous == revision end

local function marks(marker, revision)
  return marker:sub(1, 11) == revision or marker:sub(12, 22) == revision
end

local function report()
  if not fits then return redis.status_reply('TOO LARGE') end
  return {value, redis.call('PTTL', KEYS[1])}
end

local function mark(key, marker, life)
  redis.call('HSET', key, 'to', marker)
  redis.call('PEXPIRE', key, life)
end

local function close(body) return body .. sealed(body) .. '"}' end
local ok = redis.status_reply('OK')
"#;

/// Decides whether a write may go on: `ARGV[1]` is the revision that it expects, `ARGV[2]` its own.
/// Otherwise answers nil for a missing session, 1 for one that has another id by now, OK where it finds
/// its own revision (it was sent twice), and else what is there.
const COMPARE: &str = r"
if marker then return marks(marker, ARGV[2]) and ok or 1 end
if not value then return false end
if bears(ARGV[2]) then return ok end
if not is(ARGV[1]) then return report() end
";

fn script(parts: &[&str]) -> Script {
    let with_name = member::OURS.len() + 4 + member::LONGEST + member::CLOSING.len();
    let constants: [Constant; 4] = [
        ("LIMIT", &MAX_LENGTH),
        ("LONGEST_MEMBER", &with_name),
        ("SHORTEST_MEMBER", &member::SHORTEST),
        ("SEAL_LENGTH", &SEAL_LENGTH),
    ];
    Script::new(&[&[COMMON], parts].concat(), &constants)
}

/// A script that answers with the successor's id in a marker. What is longer than an id is none, and is cut
/// one byte after where an id has to end.
fn of_marker(code: &str) -> Script {
    Script::new(&[code], &[("LAST", &(24 + LONGEST_EXPRESS_ID))])
}

/// Answers 1 for a session that has another id by now, 0 for none, and else what is there. A value beside a marker
/// was put back by a request of Node's that had begun before the session got its new id: it goes, unless the
/// server is a replica by now.
pub(super) static LOAD: LazyLock<Script> = LazyLock::new(|| {
    script(&[r"
if marker then
  if value then redis.pcall('DEL', KEYS[1]) end
  return 1
end
if not value then return 0 end
return report()
"])
});

/// Own revision, value, time to live. Answers OK, 1 where it was stored before by the same write, or 0
/// where something else is stored.
pub(super) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    script(&[r"
if marker then return marks(marker, ARGV[1]) and 1 or 0 end
if value then return bears(ARGV[1]) and 1 or 0 end
return redis.pcall('SET', KEYS[1], close(ARGV[2]), 'PX', ARGV[3])
"])
});

/// Expected and own revision, value, time to live.
pub(super) static UPDATE: LazyLock<Script> =
    LazyLock::new(|| script(&[COMPARE, "return redis.pcall('SET', KEYS[1], close(ARGV[3]), 'PX', ARGV[4])"]));

/// Own revision. Answers nil where there is no marker, OK where the marker knows that revision (it was sent
/// twice), and else the successor's id.
pub(super) static SUCCESSOR: LazyLock<Script> = LazyLock::new(|| {
    of_marker(
        r"
local marker = redis.pcall('HGET', KEYS[2], 'to')
if type(marker) ~= 'string' then return marker end
if marker:sub(1, 11) == ARGV[1] or marker:sub(12, 22) == ARGV[1] then return redis.status_reply('OK') end
return marker:sub(24, LAST)
",
    )
});

/// Expected revision, time to live, and the one that it has at most unless it was touched meanwhile. Answers whether
/// it moved the end, by 1 or 0.
///
/// As Node's touch does, it leaves the value alone.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    script(&[r"
if marker or not value or not is(ARGV[1]) then return 0 end
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > tonumber(ARGV[2]) or left > tonumber(ARGV[3]) then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"])
});

/// A third key, the new one; expected and own revision, value, time to live, whether the value gets a
/// seal (1 or 0), marker (or nothing), its time to live. Answers as an update does, and 0 if the new key
/// is in use.
pub(super) static MOVE: LazyLock<Script> = LazyLock::new(|| {
    script(&[
        COMPARE,
        r"
local moved = ARGV[5] == '1' and close(ARGV[3]) or ARGV[3]
local written = redis.pcall('SET', KEYS[3], moved, 'PX', ARGV[4], 'NX')
if not written then return 0 end
if written.ok then
  if ARGV[6] ~= '' then mark(KEYS[2], ARGV[6], ARGV[7]) end
  redis.call('DEL', KEYS[1])
end
return written
",
    ])
});

/// Expected and own revision, marker, its time to live: puts the marker in the session's place. Answers
/// as an update does, and 2 if this was done before and the successor, which both times was made for it,
/// ended in between.
pub(super) static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    script(&[
        r"
if marker and marks(marker, ARGV[2]) and marker:sub(23, 23) == '1' and ARGV[3]:sub(23, 23) == '1' then return 2 end
",
        COMPARE,
        r"
redis.call('DEL', KEYS[1])
mark(KEYS[2], ARGV[3], ARGV[4])
return ok
",
    ])
});

/// Deletes the session. Answers with its successor's id if it has one, whose marker stays until the
/// successor is deleted too, and else with how many keys it deleted.
pub(super) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    of_marker(
        r"
local deleted = redis.call('DEL', KEYS[1])
local marker = redis.pcall('HGET', KEYS[2], 'to')
return type(marker) == 'string' and marker:sub(24, LAST) or deleted
",
    )
});

/// Deletes the marker.
pub(super) static FORGET: LazyLock<Script> =
    LazyLock::new(|| Script::new(&["return redis.call('DEL', KEYS[2])"], &[]));

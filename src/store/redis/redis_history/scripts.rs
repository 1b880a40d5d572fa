//! The Lua scripts of histories.
//!
//! An entry is read by the offsets that `history/entry.rs` documents; Lua counts from 1.

use std::sync::LazyLock;

use crate::store::history::{AT, BEGAN, FIXED_LENGTH};
use crate::store::redis::script::Script;

/// So many of the latest entries are looked at for one that was sent twice.
pub(super) const RECENT: usize = 16;
/// So many entries that are too old go at once.
const TRIMMED: usize = 200;

/// History, when it was forgotten; the entry, how many there may be, how long the history lasts, the time that is too
/// long ago. Answers 1 if the entry was added.
pub(super) static RECORD: LazyLock<Script> = LazyLock::new(|| {
    let code = r"
local history, entry, most, oldest = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local function moment(bytes, offset)
  local millis = 0
  for i = offset + 1, offset + 8 do millis = millis * 256 + bytes:byte(i) end
  return millis
end

local forgotten = redis.pcall('GETRANGE', KEYS[2], 0, -1)
if type(forgotten) == 'table' then return forgotten end
if forgotten ~= '' and moment(entry, ENTRY_BEGAN) <= tonumber(forgotten) then return 0 end

local recent = redis.pcall('LRANGE', history, 0, RECENT)
if recent.err then return recent end
for _, known in ipairs(recent) do
  if known == entry then return 0 end
end
local added = redis.pcall('LPUSH', history, entry)
if type(added) == 'table' then return added end
if added > most then redis.call('LTRIM', history, 0, most - 1) end

local function is_too_old(entry) return #entry >= ENTRY_LENGTH and moment(entry, ENTRY_AT) <= oldest end
if is_too_old(redis.call('LRANGE', history, -1, -1)[1]) then
  local last = redis.call('LRANGE', history, -TRIMMED, -1)
  local kept = #last
  while kept > 0 and is_too_old(last[kept]) do kept = kept - 1 end
  redis.call('LTRIM', history, 0, kept - #last - 1)
end
redis.call('PEXPIRE', history, ARGV[3])
return 1
";
    Script::new(
        &[code],
        &[
            ("RECENT", &(RECENT - 1)),
            ("TRIMMED", &TRIMMED),
            ("ENTRY_LENGTH", &FIXED_LENGTH),
            ("ENTRY_BEGAN", &BEGAN),
            ("ENTRY_AT", &AT),
        ],
    )
});

/// History, when it was forgotten; that time, how long it is remembered, if at all. Answers how many entries there were.
pub(super) static FORGET: LazyLock<Script> = LazyLock::new(|| {
    let code = r"
local count = redis.pcall('LLEN', KEYS[1])
if type(count) == 'table' then return count end
redis.call('DEL', KEYS[1])
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) end
return count
";
    Script::new(&[code], &[])
});

//! The Lua scripts of the index of owners. One owner's keys are in one Cluster slot.
//!
//! `KEYS[1]` is a sorted set of the owner's entries, `KEYS[2]` one of those that are doomed, each scored by
//! the time at which it ends, in milliseconds of the server's clock; a key lasts as long as its last entry.
//! `KEYS[3]` has the time at which all of the owner's sessions were last doomed. An entry ends in `@` and
//! the time at which its session began. Lua counts from 1.

use std::sync::LazyLock;

use crate::store::owners::Entered;
use crate::store::redis::script::Script;

/// What all of them begin with: what has ended goes. It is a write, and works at maxmemory; so does what
/// follows a script's first write.
const COMMON: &str = r"
local live, doomed, revoked = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, entries in ipairs({live, doomed}) do
  local swept = redis.pcall('ZREMRANGEBYSCORE', entries, '-inf', now)
  if type(swept) == 'table' then return swept end
end

local function digits(number) return string.format('%.0f', number) end

local function last(entries)
  local score = redis.call('ZREVRANGE', entries, 0, 0, 'WITHSCORES')[2]
  if score then redis.call('PEXPIREAT', entries, score) end
end

local function doom(entry, ends)
  redis.call('ZREM', live, entry)
  redis.call('ZADD', doomed, ends, entry)
end
";

/// Entry, its time to live, the entry that it replaces, one that it replaced (or nothing), the owner's limit
/// (or 0), what to do beyond it.
///
/// Answers 0 if it is entered, 1 if it is doomed, 2 if there is no room for it; and the doomed entries.
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        &r"
local entry, ttl, replaces, replaced, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local function is_doomed(entry) return entry ~= '' and redis.call('ZSCORE', doomed, entry) end

local function has_room()
  if limit == 0 or redis.call('ZSCORE', live, entry) then return true end
  local others, all = {}, redis.call('ZRANGE', live, 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    if all[i] ~= replaces then
      others[#others + 1] = {entry = all[i], ends = all[i + 1], began = tonumber(all[i]:match('@(%d+)$')) or 0}
    end
  end
  local too_many = #others + 1 - limit
  if too_many > 0 and ARGV[6] == 'refuse' then return false end
  table.sort(others, function(a, b) return a.began < b.began end)
  for i = 1, math.min(too_many, #others) do doom(others[i].entry, others[i].ends) end
  last(doomed)
  return true
end

local verdict
if is_doomed(entry) or is_doomed(replaces) or is_doomed(replaced) then
  verdict = 1
elseif has_room() then
  verdict = 0
  if replaced ~= '' then redis.call('ZREM', live, replaced) end
  local known = redis.call('ZSCORE', live, entry)
  if not known or tonumber(known) < now + ttl then redis.call('ZADD', live, digits(now + ttl), entry) end
  last(live)
else
  verdict = 2
end
return {verdict, redis.call('ZRANGE', doomed, 0, MOST - 1)}
"
        .replace("MOST", &Entered::MOST_DOOMED.to_string()),
    ])
});

/// Answers the entries, those that are doomed, and when all were last doomed.
pub(super) static LIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        "return {redis.call('ZRANGE', live, 0, -1), redis.call('ZRANGE', doomed, 0, -1), redis.call('GET', revoked)}",
    ])
});

/// An entry, and how long to remember it if it is unknown. Answers the doomed entries.
pub(super) static DOOM_ONE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        r"
local known = redis.call('ZSCORE', live, ARGV[1]) or redis.call('ZSCORE', doomed, ARGV[1])
doom(ARGV[1], known or digits(now + ARGV[2]))
last(doomed)
return redis.call('ZRANGE', doomed, 0, -1)
",
    ])
});

/// The entry to spare (or nothing), and how long to remember this. Answers the doomed entries.
pub(super) static DOOM_ALL_BUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        r"
local spared = ARGV[1] ~= '' and redis.call('ZSCORE', live, ARGV[1])
if spared then redis.call('ZREM', live, ARGV[1]) end
redis.call('ZUNIONSTORE', doomed, 2, doomed, live, 'AGGREGATE', 'MAX')
redis.call('DEL', live)
if spared then redis.call('ZADD', live, spared, ARGV[1]) end
last(live)
last(doomed)
redis.call('SET', revoked, digits(now), 'PX', ARGV[2])
return redis.call('ZRANGE', doomed, 0, -1)
",
    ])
});

/// Entries to take away.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        r"
redis.call('ZREM', live, unpack(ARGV))
return redis.call('ZREM', doomed, unpack(ARGV))
",
    ])
});

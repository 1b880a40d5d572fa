//! The Lua scripts of the index of owners.
//!
//! An owner has one key, so that it is on one node also while its slot migrates: a sorted set of entries,
//! each scored by the time at which it ends, in milliseconds of the server's clock. Of a doomed one the
//! score is negative. A mark that begins with `!`, among the doomed, has the time at which all of the
//! owner's sessions were last doomed. The key lasts as long as its last entry. An entry is the session's
//! name, `@` and the time at which the session began. Lua counts from 1.

use std::sync::LazyLock;

use crate::store::owners::Entered;
use crate::store::redis::script::Script;

/// What all of them begin with: what has ended goes. That is a write, and works at maxmemory; so does what
/// follows a script's first write.
const COMMON: &str = r"
local index = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function digits(number) return string.format('%.0f', number) end

local swept = redis.pcall('ZREMRANGEBYSCORE', index, 0, digits(now))
if type(swept) == 'table' then return swept end
redis.call('ZREMRANGEBYSCORE', index, digits(-now), 0)

local function ends(entry)
  local score = entry ~= '' and redis.call('ZSCORE', index, entry)
  return score and tonumber(score)
end

local function is_doomed(entry)
  local score = ends(entry)
  return score and score < 0
end

local function put(entry, score) redis.call('ZADD', index, digits(score), entry) end

local function live() return redis.call('ZRANGEBYSCORE', index, '(0', '+inf', 'WITHSCORES') end

local function doomed(most)
  local entries = {}
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(0', 'LIMIT', 0, most)) do
    if entry:sub(1, 1) ~= '!' then entries[#entries + 1] = entry end
  end
  return entries
end

local function keep()
  local first, last = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')[2], redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')[2]
  if last then redis.call('PEXPIREAT', index, digits(math.max(-tonumber(first), tonumber(last)))) end
end
";

/// Entry, how long it lasts, the entry that it replaces (or nothing), whether it was written (1 or 0), the
/// owner's limit (or 0), what to do beyond it.
///
/// Answers 0 if it is entered, 1 if it is doomed, 2 if there is no room for it; whether it was known (1 or
/// 0); and the doomed entries.
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        &r"
local entry, life, replaces, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[5])
local function lineage(entry) return entry:match('^{?(....)') end

local function makes_room()
  local sessions, by_lineage, all = {}, {}, live()
  for i = 1, #all, 2 do
    local name = lineage(all[i])
    if name ~= lineage(entry) then
      local session = by_lineage[name]
      if not session then
        session = {began = 0}
        by_lineage[name], sessions[#sessions + 1] = session, session
      end
      session[#session + 1] = {all[i], tonumber(all[i + 1])}
      session.began = math.max(session.began, tonumber(all[i]:match('@(%d+)$')) or 0)
    end
  end
  local too_many = #sessions + 1 - limit
  if too_many > 0 and ARGV[6] == 'refuse' then return false end
  table.sort(sessions, function(a, b) return a.began < b.began end)
  for i = 1, math.min(too_many, #sessions) do
    for _, evicted in ipairs(sessions[i]) do put(evicted[1], -evicted[2]) end
  end
  return true
end

local known = ends(entry)
local verdict = 0
if (known and known < 0) or is_doomed(replaces) then
  verdict = 1
elseif not known and limit > 0 and not makes_room() then
  verdict = 2
else
  if ARGV[4] == '1' and replaces ~= '' then redis.call('ZREM', index, replaces) end
  put(entry, math.max(known or 0, now + life))
end
keep()
return {verdict, known and 1 or 0, doomed(MOST)}
"
        .replace("MOST", &Entered::MOST_DOOMED.to_string()),
    ])
});

/// Answers the entries, those that are doomed, and when all were last doomed.
pub(super) static LIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        r"
local entries, all, revoked = {}, live(), ''
for i = 1, #all, 2 do entries[#entries + 1] = all[i] end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(0')) do
  if entry:sub(1, 1) == '!' then revoked = entry:sub(2) end
end
return {entries, doomed(-1), revoked}
",
    ])
});

/// An entry, and how long to remember it if it is unknown. Answers the doomed entries.
pub(super) static DOOM_ONE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        r"
put(ARGV[1], -math.abs(ends(ARGV[1]) or now + ARGV[2]))
keep()
return doomed(-1)
",
    ])
});

/// The entry to spare (or nothing), and how long to remember this. Answers the doomed entries.
pub(super) static DOOM_ALL_BUT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        r"
local all = live()
for i = 1, #all, 2 do
  if all[i] ~= ARGV[1] then put(all[i], -tonumber(all[i + 1])) end
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(0')) do
  if entry:sub(1, 1) == '!' then redis.call('ZREM', index, entry) end
end
put('!' .. digits(now), -(now + ARGV[2]))
keep()
return doomed(-1)
",
    ])
});

/// How many entries are to be taken away, how long the others may stay, and all of them.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&[
        COMMON,
        r"
local gone = tonumber(ARGV[1])
for i = 3, gone + 2 do redis.call('ZREM', index, ARGV[i]) end
for i = gone + 3, #ARGV do
  local score = ends(ARGV[i])
  if score and score < 0 then put(ARGV[i], math.max(score, -(now + ARGV[2]))) end
end
keep()
return 1
",
    ])
});

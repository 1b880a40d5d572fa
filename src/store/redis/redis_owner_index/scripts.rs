//! The Lua scripts of the index of owners.
//!
//! An owner has one key, so that it is on one node also while its slot migrates: a sorted set of entries.
//! An entry is the session's name, `@` and the time at which the session began, in milliseconds.
//!
//! | score | what it is of |
//! |---|---|
//! | below `-OFFSET` | a revoked session that was not found: kept out until minus the score, less `OFFSET` |
//! | `-OFFSET` to 0 | a session revoked by itself, whose entry ends at minus the score |
//! | 0 to `floor` | a session that was revoked with all others |
//! | from `floor` on | a session that is to be there, whose entry ends at the score less `base`; odd until it was written |
//! | infinite | the mark: `!`, `base`, the time at which all were last revoked, the latest end of those |
//!
//! All sessions are revoked by a new mark: `base` is such that whatever is entered from then on scores higher
//! than everything before, and `floor`, the `base` and the time of the mark, lies in between. Without a mark
//! all of these are 0. Times are in milliseconds of the server's clock. Should that go back, `floor` still
//! separates the two. The key lasts as long as its last entry, and a week after the mark. Lua counts from 1.

use std::sync::LazyLock;

use crate::clock::millis_rounded_up;
use crate::store::owner_index::{Entry, IndexInserted, MARGIN, Owned};
use crate::store::redis::script::{Constant, Script};

/// What all of them begin with: some of what has ended goes. `ZREM` comes first, also if there is nothing to
/// remove: it works at maxmemory, and so does what follows a script's first write.
const COMMON: &str = r"
local index = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local OFFSET = 2 ^ 52
local function digits(number) return string.format('%.0f', number) end

local removed = redis.pcall('ZREM', index, '')
if type(removed) == 'table' then return removed end

local mark = redis.call('ZRANGEBYSCORE', index, '+inf', '+inf')[1]
local base, revoked_at, revoked_end = 0, 0, 0
if mark then
  base, revoked_at, revoked_end = mark:match('^!(%d+):(%d+):(%d+)$')
  base, revoked_at, revoked_end = tonumber(base), tonumber(revoked_at), tonumber(revoked_end)
end
local floor = base + revoked_at
local first = math.max(floor, base + now + 1)

local function trim(from, to)
  local ended = redis.call('ZRANGEBYSCORE', index, digits(from), digits(to), 'LIMIT', 0, TRIMMED)
  if ended[1] then redis.call('ZREM', index, unpack(ended)) end
end
trim(-OFFSET - now, -OFFSET)
trim(-now, -1)
if first > floor then trim(floor, first - 1) end

local function score_of(entry)
  local score = entry ~= '' and redis.call('ZSCORE', index, entry)
  return score and tonumber(score)
end

local function put(entry, ends, pending)
  local score = math.max(base + ends, floor)
  if (score % 2 == 1) ~= pending then score = score + 1 end
  redis.call('ZADD', index, digits(score), entry)
end

local function revoke(entry, ends) redis.call('ZADD', index, digits(-ends), entry) end

local function revoked(most)
  return redis.call('ZRANGEBYSCORE', index, digits(1 - OFFSET), '(' .. digits(floor), 'LIMIT', 0, most)
end

local function keep()
  local ends = math.max(revoked_end, mark and revoked_at + WEEK or 0)
  local missing = redis.call('ZRANGEBYSCORE', index, '-inf', digits(-OFFSET), 'WITHSCORES', 'LIMIT', 0, 1)[2]
  local alone = redis.call('ZRANGEBYSCORE', index, digits(1 - OFFSET), '(0', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  local last = redis.call('ZREVRANGEBYSCORE', index, '(+inf', digits(floor), 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if missing then ends = math.max(ends, -missing - OFFSET) end
  if alone then ends = math.max(ends, -alone) end
  if last then ends = math.max(ends, last - base) end
  if ends > 0 then redis.call('PEXPIREAT', index, digits(ends)) end
end
";

/// So many entries whose time has passed a script takes away of each kind.
const TRIMMED: usize = 200;

fn script(code: &str) -> Script {
    let constants: [Constant; 6] = [
        ("TRIMMED", &TRIMMED),
        ("MOST_REVOKED", &IndexInserted::MOST_REVOKED),
        ("PAGE", &Owned::PAGE),
        ("WEEK", &millis_rounded_up(Owned::REVOCATION_KNOWN)),
        ("ON_ITS_WAY", &millis_rounded_up(Entry::ON_ITS_WAY)),
        ("MARGIN", &millis_rounded_up(MARGIN)),
    ];
    Script::new(&[COMMON, code], &constants)
}

/// Entry, how long it lasts, the entry that it replaces (or nothing), the stage (`before`, `after`, `later`,
/// `moving`), the owner's limit (or 0), what to do beyond it (`oldest`, `refuse`).
///
/// Answers 0 if it is entered, 1 if it is revoked, 2 if there is no room for it; whether it was known (1 or
/// 0); revoked entries; and after a session was written, how many its owner has (or 0).
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local entry, life, replaces, stage, limit = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local function lineage(entry) return entry:match('^{?(....)') end
local function began(entry) return tonumber(entry:match('@(%d+)$')) or 0 end

-- The owner's other sessions, each with the entries of its ids; and how many more there are than that.
local function others(written)
  local count = redis.call('ZCOUNT', index, digits(first), '(+inf')
  if count < limit then return {}, 0 end
  local sessions, by_lineage = {}, {}
  local all = redis.call('ZRANGEBYSCORE', index, digits(first), '(+inf', 'WITHSCORES', 'LIMIT', 0, PAGE)
  for i = 1, #all, 2 do
    local name, score = lineage(all[i]), tonumber(all[i + 1])
    if name ~= lineage(entry) and not (written and score % 2 == 1) then
      local session = by_lineage[name]
      if not session then
        session = {began = 0}
        by_lineage[name], sessions[#sessions + 1] = session, session
      end
      session[#session + 1] = {all[i], score - base}
      session.began = math.max(session.began, began(all[i]))
    end
  end
  return sessions, count - #all / 2
end

local function is_full()
  local sessions, more = others(false)
  return #sessions + more >= limit
end

local function evict()
  local sessions, more = others(true)
  table.sort(sessions, function(a, b) return a.began < b.began end)
  for i = 1, math.min(#sessions + more + 1 - limit, #sessions) do
    for _, evicted in ipairs(sessions[i]) do revoke(evicted[1], evicted[2]) end
  end
end

local score, replaced = score_of(entry), score_of(replaces)
local known = score and score >= first
local verdict = 0
if (score and score < floor) or (replaced and replaced < floor) then
  verdict = 1
elseif stage == 'moving' and not known and mark and revoked_at > now - WEEK and began(entry) <= revoked_at + MARGIN then
  verdict = 1
elseif stage == 'before' and ARGV[6] == 'refuse' and not known and limit > 0 and is_full() then
  verdict = 2
else
  if stage == 'after' and replaces ~= '' then redis.call('ZREM', index, replaces) end
  local pending = stage == 'before' and replaces == '' and not (known and score % 2 == 0)
  put(entry, math.max(known and score - base or 0, now + life), pending)
  if stage == 'after' and ARGV[6] == 'oldest' and known and limit > 0 then evict() end
end
keep()
local has = verdict == 0 and stage == 'after' and redis.call('ZCOUNT', index, digits(first), '(+inf') or 0
return {verdict, known and 1 or 0, revoked(MOST_REVOKED), has}
",
    )
});

/// The score and the beginning of the entry that was the last one of the page before, or nothing. Answers
/// entries, the score of the last one if there may be more (or nothing), revoked entries, when all were last revoked
/// (or nothing), and which of the entries are of sessions that were not written yet.
///
/// Most entries of a day score alike, since they end at full tenths of the idle timeout, and entries of one
/// score are in the order of their names. Where in that order the page begins is found by an entry of that
/// beginning, which is there for that moment only: the last entry itself may be gone, and is on two pages if not.
pub(super) static LIST: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local rank
local score = tonumber(ARGV[1])
if score and score >= first then
  redis.call('ZADD', index, ARGV[1], ARGV[2])
  rank = redis.call('ZRANK', index, ARGV[2])
  redis.call('ZREM', index, ARGV[2])
else
  rank = redis.call('ZCOUNT', index, '-inf', '(' .. digits(first))
end
local page = redis.call('ZRANGE', index, rank, rank + PAGE - 1, 'WITHSCORES')
local entries, pending, last = {}, {}, 0
for i = 1, #page, 2 do
  if page[i] ~= mark then
    entries[#entries + 1], last = page[i], tonumber(page[i + 1])
    if last % 2 == 1 then pending[#pending + 1] = page[i] end
  end
end
last = #entries == PAGE and digits(last) or ''
return {entries, last, revoked(MOST_REVOKED), mark and revoked_at > now - WEEK and digits(revoked_at) or '', pending}
",
    )
});

/// An entry. One that is unknown is kept out for a while.
pub(super) static DOOM_ONE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local score = score_of(ARGV[1])
if score and score >= first then
  revoke(ARGV[1], score - base)
elseif not score or score >= floor then
  revoke(ARGV[1], now + ON_ITS_WAY)
end
keep()
return 1
",
    )
});

/// The entry to spare, or nothing.
pub(super) static DOOM_ALL_BUT: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local top = redis.call('ZREVRANGEBYSCORE', index, '(+inf', '(0', 'WITHSCORES', 'LIMIT', 0, 1)[2]
local spared = score_of(ARGV[1])
local spared_end = spared and spared >= first and spared - base
if mark then redis.call('ZREM', index, mark) end
if top then revoked_end = math.max(revoked_end, top - base) end
-- Far enough above the highest score for a double that no longer holds every millisecond.
base = math.max(0, (tonumber(top) or 0) + 1000 - now)
revoked_at = now
floor = base + revoked_at
mark = '!' .. digits(base) .. ':' .. digits(revoked_at) .. ':' .. digits(revoked_end)
redis.call('ZADD', index, '+inf', mark)
if spared_end then put(ARGV[1], spared_end, false) end
keep()
return 1
",
    )
});

/// Answers revoked entries.
pub(super) static REVOKED: LazyLock<Script> = LazyLock::new(|| script("return revoked(PAGE)"));

/// How many entries are to be taken away, those, and then the ones whose sessions were missing.
pub(super) static REMOVE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local gone = tonumber(ARGV[1])
if gone > 0 then redis.call('ZREM', index, unpack(ARGV, 2, gone + 1)) end
for i = gone + 2, #ARGV do
  local score = score_of(ARGV[i])
  if score and score < floor and score > -OFFSET then
    local ends = score < 0 and math.min(-score, now + ON_ITS_WAY) or now + ON_ITS_WAY
    redis.call('ZADD', index, digits(-OFFSET - ends), ARGV[i])
  end
end
keep()
return 1
",
    )
});

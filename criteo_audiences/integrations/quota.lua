-- One turn of one worker with the shared quota: notes what the worker reports, grants what is its due, and says when to
-- come again. Times are seconds since the state was born, by the clock of Redis; a message holds durations only, so no
-- other clock matters. A call holds its place in the window while it is in flight, and after that until the time that
-- its worker names: its place in `log`.
--
-- KEYS[1] the state, a JSON object      KEYS[2] `log`: the places of ended calls, by the time at which each is free
-- KEYS[3] the workers: a JSON array each: seen, in flight, single calls and batches that wait, when due, calls of late
-- ARGV[1] what the worker reports, a JSON object: see RedisQuota
local report = cjson.decode(ARGV[1])
local GRACE = 0.1 -- seconds after which a worker that does not come when it is due holds up nobody
local FEW = 3 -- 429s in a row from which on one call at a time looks whether it is over
local SEEN, FLYING, SINGLES, BATCHES, DUE, USED = 1, 2, 3, 4, 5, 6

local t = redis.call('TIME')
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local saved = redis.call('GET', KEYS[1])
local state = saved and cjson.decode(saved)
-- It is stale when it was read from a disk, or copied, so that what came after it is lost, and when the clock was set back.
local is_stale = state and (state.run ~= run or tonumber(t[1]) + 1 < state.latest)
if is_stale or not state then
  redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
  state = {run = run, epoch = run .. ':' .. t[1] .. ':' .. t[2], born = tonumber(t[1]), birth = tonumber(t[2]) / 1e6, opens = 0, paused = 0, foreign = 0,
    foreign_until = 0, refusals = 0, refused = 0}
end
local now = tonumber(t[1]) - state.born + tonumber(t[2]) / 1e6
if is_stale or (report.epoch ~= '' and report.epoch ~= state.epoch) then
  -- Calls are known to have been made that this state does not hold. They were admitted before it was born.
  state.opens = state.birth + report.hold
end

local workers = {}
local stored = redis.call('HGETALL', KEYS[3])
for at = 1, #stored, 2 do
  local worker = cjson.decode(stored[at + 1])
  worker[USED] = worker[USED] * math.exp((worker[SEEN] - now) / report.hold)
  if worker[SEEN] + report.lease < now and stored[at] ~= report.worker then -- it is dead: its calls end now at the latest
    for call = 1, worker[FLYING] do
      redis.call('ZADD', KEYS[2], now + report.hold, stored[at] .. ':' .. call .. ':' .. t[1])
    end
    redis.call('HDEL', KEYS[3], stored[at])
  else
    workers[stored[at]] = worker
  end
end
local least = math.huge
for _, worker in pairs(workers) do least = math.min(least, worker[USED]) end
local me = workers[report.worker] or {now, 0, 0, 0, now, least < math.huge and least or 0}
workers[report.worker] = me
me[SEEN], me[FLYING], me[SINGLES], me[BATCHES] = now, report.flying, report.singles, report.batches
for _, ended in ipairs(report.ended) do
  redis.call('ZADD', KEYS[2], now + ended[2], ended[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)

local flying, crowd = 0, 0
for _, worker in pairs(workers) do
  flying, crowd = flying + worker[FLYING], crowd + 1
end
local held = redis.call('ZCARD', KEYS[2])
for _, answer in ipairs(report.answers) do -- what the server said, in order
  if answer.limit then state.limit = answer.limit end
  if answer.remaining then
    state.foreign = math.max(0, (state.limit or report.calls) - answer.remaining - held - flying)
    state.foreign_until = now + answer.reset
  end
  if answer.pause then
    if now - answer.sent >= state.refused then -- those that were under way together count once
      state.refusals, state.refused = state.refusals + 1, now
    end
    state.paused = math.max(state.paused, now + answer.pause)
  else
    state.refusals = 0
  end
end

local limit = state.limit or report.calls
local allowed = math.max(1, math.floor(limit * report.share))
if now >= state.foreign_until then state.foreign = 0 end
local mine, all = allowed - held - flying, limit - held - flying - state.foreign
local free = math.min(mine, all)
local opens = math.max(state.opens, state.paused)
local is_alone = state.refusals >= FEW
if is_alone then free = math.min(free, 1 - flying) end

-- Single calls go before batches. Of each, the next goes to the worker that has made the fewest calls of late.
local function before(kind, turn)
  local claims = turn - 1
  if kind == BATCHES then claims = claims + me[SINGLES] end
  for name, other in pairs(workers) do
    if other ~= me and other[DUE] + GRACE >= now then
      local less = me[USED] + turn - 1 - other[USED]
      local first = name < report.worker and math.floor(less) + 1 or math.ceil(less)
      claims = claims + math.max(0, math.min(other[kind], first))
      if kind == BATCHES then claims = claims + other[SINGLES] end
    end
  end
  return claims
end

-- Seconds until a claim is served that has so many before it, if calls in flight ended now.
local function wait(claims)
  local missing = claims - free
  local time = now
  if missing >= 0 then
    local windows, place = math.floor(missing / allowed), missing % allowed
    local entry = redis.call('ZRANGE', KEYS[2], place, place, 'WITHSCORES')
    time = (entry[2] and tonumber(entry[2]) or now + report.hold) + windows * report.hold
    if state.foreign > 0 and all < mine then time = math.min(time, math.max(now, state.foreign_until)) end
    if is_alone then time = math.min(time, now + GRACE) end
  end
  return math.max(time, opens) - now
end

local granted = {[SINGLES] = 0, [BATCHES] = 0}
local due
for _, kind in ipairs({SINGLES, BATCHES}) do
  local claims = me[kind]
  while now >= opens and granted[kind] < claims and before(kind, granted[kind] + 1) < free do
    granted[kind] = granted[kind] + 1
  end
  if not due and granted[kind] < claims then due = wait(before(kind, granted[kind] + 1)) end
end
local last = {wait(before(SINGLES, me[SINGLES])), wait(before(BATCHES, me[BATCHES]))}
local given = granted[SINGLES] + granted[BATCHES]
me[USED] = me[USED] + given
me[FLYING], me[SINGLES], me[BATCHES] = me[FLYING] + given, me[SINGLES] - granted[SINGLES], me[BATCHES] - granted[BATCHES]
me[DUE] = now + (due or 0)

if report.leaving then
  for call = 1, me[FLYING] do
    redis.call('ZADD', KEYS[2], now + report.hold, report.worker .. ':left:' .. call)
  end
  redis.call('HDEL', KEYS[3], report.worker)
else
  redis.call('HSET', KEYS[3], report.worker, cjson.encode(me))
end
state.latest = tonumber(t[1])
redis.call('SET', KEYS[1], cjson.encode(state))
local kept = math.ceil((math.max(opens - now, 0) + 2 * (report.hold + report.lease)) * 1000)
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, kept)
end
return cjson.encode({epoch = state.epoch, singles = granted[SINGLES], batches = granted[BATCHES], due = due,
  opens = math.max(0, state.opens - now), single_wait = last[1], batch_wait = last[2], workers = crowd, limit = limit,
  free = math.max(0, now < opens and 0 or free - given)})

-- Takes of every meter of one request, or of none, and tells how each stood before. The arithmetic is arithmetic.py's.
-- KEYS: one per meter. ARGV: ticks a second, span in ticks, lease in seconds, seconds to keep what is idle, request id;
-- then for each meter its kind, its limit, and how much is asked for.
-- Answers: now in ticks; then for each meter what is used, 1 where the request fits, the tick from which it would fit
-- (-1: nobody knows), and the tick at which all is there again.
local time = redis.call('TIME')
local seconds = tonumber(time[1]) + tonumber(time[2]) / 1000000
local now = seconds * tonumber(ARGV[1])
local tick = math.floor(now)
local span, lease, keep, request = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]

local function read_window(key, limit, amount)
  local flat = redis.call('HGETALL', key)
  local ticks, taken, used = {}, {}, 0
  for i = 1, #flat, 2 do
    local at = tonumber(flat[i])
    if at + span <= tick then
      redis.call('HDEL', key, flat[i])
    else
      ticks[#ticks + 1] = at
      taken[at] = tonumber(flat[i + 1])
      used = used + taken[at]
    end
  end
  table.sort(ticks)
  local need, still, opens_at = math.min(amount, limit), used, tick
  for _, at in ipairs(ticks) do
    if still + need <= limit then break end
    still = still - taken[at]
    opens_at = at + span
  end
  local full_at = #ticks > 0 and ticks[#ticks] + span or tick
  return used, used + need <= limit, opens_at, full_at
end

local function read_slots(key, limit)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.6f', seconds))
  local used = redis.call('ZCARD', key)
  local fits = used < limit
  return used, fits, fits and tick or -1, tick
end

local answer, all_fit = { string.format('%.6f', now) }, true
for i, key in ipairs(KEYS) do
  local kind, limit, amount = ARGV[3 * i + 3], tonumber(ARGV[3 * i + 4]), tonumber(ARGV[3 * i + 5])
  local read = kind == 'concurrent' and read_slots or read_window
  local used, fits, opens_at, full_at = read(key, limit, amount)
  all_fit = all_fit and fits
  for _, value in ipairs({ used, fits and 1 or 0, opens_at, full_at }) do answer[#answer + 1] = value end
end
if all_fit then
  for i, key in ipairs(KEYS) do
    if ARGV[3 * i + 3] == 'concurrent' then
      redis.call('ZADD', key, string.format('%.6f', seconds + lease), request)
    elseif tonumber(ARGV[3 * i + 5]) > 0 then
      redis.call('HINCRBY', key, tick, ARGV[3 * i + 5])
    end
    redis.call('EXPIRE', key, keep)
  end
end
return answer

-- Gives back what one request holds, and corrects what it has taken.
-- KEYS: one per meter. ARGV: ticks a second, seconds to keep what is idle, request id; then for each meter its kind, the
-- tick in which it was taken, and the change: less is taken off where it was taken, more counts from now.
local time = redis.call('TIME')
local tick = math.floor((tonumber(time[1]) + tonumber(time[2]) / 1000000) * tonumber(ARGV[1]))
local keep, request = ARGV[2], ARGV[3]
for i, key in ipairs(KEYS) do
  local kind, at, change = ARGV[3 * i + 1], ARGV[3 * i + 2], tonumber(ARGV[3 * i + 3])
  if kind == 'concurrent' then
    redis.call('ZREM', key, request)
  elseif change > 0 then
    redis.call('HINCRBY', key, tick, change)
    redis.call('EXPIRE', key, keep)
  else
    local taken = tonumber(redis.call('HGET', key, at) or 0)
    if taken + change > 0 then
      redis.call('HINCRBY', key, at, change)
    elseif taken > 0 then
      redis.call('HDEL', key, at)
    end
  end
end

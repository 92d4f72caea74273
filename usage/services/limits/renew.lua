-- Renews the leases of requests in progress, also of those that were let in while Redis was away, or that it has lost.
-- KEYS: one meter. ARGV: lease in seconds, seconds to keep what is idle, then the requests' ids.
local time = redis.call('TIME')
local ends_at = string.format('%.6f', tonumber(time[1]) + tonumber(time[2]) / 1000000 + tonumber(ARGV[1]))
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], ends_at, ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[2])

-- The arithmetic of MemoryStore, by Redis's own clock, so that processes need not agree on theirs.
local count, seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local time = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local window = math.floor(time / seconds)
local elapsed = time - window * seconds
local row = redis.call('HMGET', KEYS[1], 'window', 'now', 'before')
local at, now, before = tonumber(row[1]) or window, tonumber(row[2]) or 0, tonumber(row[3]) or 0
if at ~= window then
  before = at == window - 1 and now or 0
  now = 0
end
if now + 1 + before * (1 - elapsed / seconds) > count then
  if now < count then
    return tostring(seconds * (1 - (count - 1 - now) / before) - elapsed)
  end
  return tostring((seconds - elapsed) + seconds * (1 - (count - 1) / now))
end
redis.call('HSET', KEYS[1], 'window', window, 'now', now + 1, 'before', before)
redis.call('EXPIRE', KEYS[1], 2 * seconds)
return '0'

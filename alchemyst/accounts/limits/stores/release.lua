-- Ends a holder's holds, and counts what was used.
local call = cjson.decode(ARGV[1])
for _, release in ipairs(call.releases) do
  redis.call('HDEL', release.key .. ':held', call.holder)
  if release.add > 0 then
    redis.call('INCRBY', release.key .. ':' .. release.window, release.add)
    redis.call('EXPIRE', release.key .. ':' .. release.window, 2 * release.seconds)
  end
end
redis.call('DEL', call.holder_key)
return '0'

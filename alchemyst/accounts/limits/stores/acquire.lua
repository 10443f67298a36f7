-- Takes from several counters, all or nothing. Returns 0, or which one refused: 2i - 1 where the
-- count alone is too high, 2i where others' holds make it so.
local call = cjson.decode(ARGV[1])
for index, acquire in ipairs(call.acquires) do
  local count = tonumber(redis.call('GET', acquire.key .. ':' .. acquire.window)) or 0
  local held = 0
  local entries = redis.call('HGETALL', acquire.key .. ':held')
  for entry = 1, #entries, 2 do
    local amount, ends = string.match(entries[entry + 1], '^(%d+) (%d+)$')
    if tonumber(ends) > call.now then
      held = held + tonumber(amount)
    else
      redis.call('HDEL', acquire.key .. ':held', entries[entry])
    end
  end
  local after = count + acquire.add + acquire.hold
  if after > acquire.most then return tostring(2 * index - 1) end
  if after + held > acquire.most then return tostring(2 * index) end
end
for _, acquire in ipairs(call.acquires) do
  if acquire.add > 0 then
    redis.call('INCRBY', acquire.key .. ':' .. acquire.window, acquire.add)
    redis.call('EXPIRE', acquire.key .. ':' .. acquire.window, 2 * acquire.seconds)
  end
  if acquire.hold > 0 then
    redis.call('HSET', acquire.key .. ':held', call.holder, acquire.hold .. ' ' .. call.ends)
    redis.call('EXPIRE', acquire.key .. ':held', 86400)
    redis.call('SADD', call.holder_key, acquire.key .. ':held')
    redis.call('EXPIRE', call.holder_key, 86400)
  end
end
return '0'

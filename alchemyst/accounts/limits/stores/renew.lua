-- Gives the holds of these holders a later end.
local call = cjson.decode(ARGV[1])
for _, holder in ipairs(call.holders) do
  for _, key in ipairs(redis.call('SMEMBERS', holder.key)) do
    local hold = redis.call('HGET', key, holder.name)
    if hold then
      redis.call('HSET', key, holder.name, string.match(hold, '^%d+') .. ' ' .. call.ends)
    end
  end
end
return '0'

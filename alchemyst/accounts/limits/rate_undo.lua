if (tonumber(redis.call('HGET', KEYS[1], 'now')) or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], 'now', -1)
end
return '0'

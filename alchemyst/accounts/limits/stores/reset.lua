-- Counts anew, but for what is held.
for _, release in ipairs(cjson.decode(ARGV[1]).releases) do
  redis.call('DEL', release.key .. ':' .. release.window)
end
return '0'

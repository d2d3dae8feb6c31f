-- Find which bytes no record names.
-- ARGV
--   paths ...  where bytes are
-- Returns those of the paths that no record names.
local paths = rest(ARGV, 1)
local unknown = {}
for _, path in ipairs(paths) do
  if redis.call('HGET', file_of(string.match(path, '([^/]+)$') or ''), 'at') ~= path then unknown[#unknown + 1] = path end
end
return unknown

-- Find which files have no record, or one without bytes.
-- ARGV
--   paths ...  where bytes are
-- Returns those of the paths that no record names.
local unknown = {}
for _, path in ipairs(rest(ARGV, 1)) do
  if redis.call('HGET', file_of(string.match(path, '([^/]+)$') or ''), 'at') ~= path then unknown[#unknown + 1] = path end
end
return unknown

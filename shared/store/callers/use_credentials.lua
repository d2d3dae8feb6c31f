-- Read the credentials that a run uses, those that were granted to its caller too, and note the minute of their use.
-- ARGV
--   caller
--   names ...
-- Returns {owner, entry, owner, entry, …} in the order of the names; '' and '' for one that the caller does not have.
local caller, names = ARGV[1], rest(ARGV, 2)
local found = {}
for _, name in ipairs(names) do
  local entry, owner = use_credential(caller, name)
  found[#found + 1] = owner
  found[#found + 1] = entry
end
return found

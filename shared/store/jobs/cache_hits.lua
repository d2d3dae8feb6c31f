-- Part of submit.lua: what the cached answers of one call save is counted once, at its end.

local hits = {}

local function note_hit(request_id, caller, label, saved)
  hits[#hits + 1] = {request_id = request_id, caller = caller, label = label, saved = saved}
end

local function count_hits()
  local number, sum, of_callers, of_labels = 0, 0, {}, {}
  for _, hit in ipairs(hits) do
    -- Sent again after a lost reply, the hit has been counted.
    if redis.call('SET', hit_of(hit.request_id), 1, 'NX', 'EX', 10) then
      number, sum = number + 1, sum + hit.saved
      of_callers[hit.caller] = (of_callers[hit.caller] or 0) + hit.saved
      local labels = of_labels[hit.caller] or {}
      labels[hit.label] = (labels[hit.label] or 0) + hit.saved
      of_labels[hit.caller] = labels
    end
  end
  if number == 0 then return end
  count('cache_hits', number)
  redis.call('HINCRBYFLOAT', COUNTERS, 'cache_saved_usd', sum)
  for caller, saved in pairs(of_callers) do
    add_to_day(caller, 'saved', saved)
    for label, part in pairs(of_labels[caller]) do add_usage(caller, label, '', {saved = part}) end
  end
end

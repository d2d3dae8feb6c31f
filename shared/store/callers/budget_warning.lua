-- Part of every script, the last: the warning of a daily budget that is nearly spent, which belongs to no job.

-- Delete a webhook that is not sent again and belongs to no job or batch.
local function forget_if_done(name)
  local hook = redis.call('HMGET', hook_of(name), 'job', 'state')
  if hook[1] == '' and hook[2] ~= 'pending' then forget_hook(name) end
end

-- Warn of a budget that is nearly spent, once a day each: the caller, by the webhook of the job or of its batch, and the
-- operator.
function warn_of_budget(id, caller)
  local job = redis.call('HMGET', record_of(id), 'budget', 'hook', 'host', 'batch')
  local budget, day = tonumber(job[1] or 0), day_of(now())
  local spent = budget > 0 and tonumber(redis.call('HGET', spend_of(caller, day), 'cost') or 0) or 0
  -- With a tolerance: 0.8 * 3 is more than 2.4 in binary.
  if budget == 0 or spent < NEARLY * budget * (1 - 1e-9) then return end
  local data = cjson.encode({caller = caller, day = tonumber(day), spent = spent, budget = budget})
  local function warn(whom, as, url, host)
    if not url or redis.call('HSETNX', spend_of(caller, day), 'warned:' .. whom, 1) == 0 then return end
    local name = 'budget.' .. caller .. '.' .. day .. '.' .. whom
    add_webhook('', as, name, '', url, host, data, 'budget.warning', now())
  end
  if job[2] or not job[4] then
    warn('caller', caller, job[2] or nil, job[3])
  else
    local batch = redis.call('HMGET', batch_of(job[4]), 'hook', 'host')
    warn('caller', caller, batch[1] or nil, batch[2])
  end
  local host, url = string.match(redis.call('GET', BUDGET_WEBHOOK) or '', '^(%S+) (%S+)$')
  warn('operator', 'anonymous', url, host)
end

-- Part of the scripts that redeliver: queue a delivery again, due now and with its whole schedule.
local function requeue_delivery(name, state, caller, host, leased, time)
  if state ~= 'pending' then count('webhooks_pending') end
  redis.call('HSET', hook_of(name), 'state', 'pending', 'tries', 0, 'again', 'requested')
  if tonumber(leased or 0) > time then
    redis.call('HSET', hook_of(name), 'again', 'during') -- an attempt runs, and another follows
  else
    deliver_at(name, caller, host, time)
  end
end

-- Part of every script: counters, histograms and costs.
local function count(what, by)
  redis.call('HINCRBY', COUNTERS, what, by or 1)
end

-- Count a duration, in ms, into a histogram: the first bucket that holds it, and the sum in s. A `trace` that is recorded
-- becomes the bucket's exemplar.
local function observe(what, duration, trace)
  local bucket = '+Inf'
  for _, le in ipairs(BUCKETS) do
    if duration <= le * 1000 then
      bucket = tostring(le)
      break
    end
  end
  count(what .. ':' .. bucket)
  redis.call('HINCRBYFLOAT', COUNTERS, what .. ':sum', duration / 1000)
  local trace_id = trace and trace:match('^00%-(%x+)%-%x+%-01')
  if trace_id then
    local exemplar = table.concat({trace_id, duration / 1000, whole(now())}, ' ')
    redis.call('HSET', EXEMPLARS, what .. ':' .. bucket, exemplar)
  end
end

-- Count into the series of the dashboard: into the present minute, kept for two hours, and the present hour, kept for eight days.
local function count_over_time(field)
  local time = now()
  for name, kept in pairs({
    [minute_of(math.floor(time / 60000))] = 7200, [hour_of(math.floor(time / HOUR))] = 8 * 86400,
  }) do
    if redis.call('HINCRBY', name, field, 1) == 1 then redis.call('EXPIRE', name, kept) end
  end
end

-- Count a duration, in ms, into the series: bucket N holds those up to 2 ^ (N / 2) ms, the last one all that are longer.
local function observe_over_time(what, duration)
  local bucket = math.ceil(2 * math.log(math.max(duration, 1)) / math.log(2) - 1e-9)
  count_over_time(what .. ':' .. whole(math.min(bucket, 60)))
end

-- Add to several fields of a hash with two commands. 15 digits, so that decimal fractions stay as they are written. Where none
-- of them was there, `when_new`, if it is given, may return other fields to add to. Returns whether one of them was there.
local function add_all(name, amounts, when_new)
  local fields, values, was_there = {}, {}, false
  for field in pairs(amounts) do fields[#fields + 1] = field end
  for i, known in ipairs(redis.call('HMGET', name, unpack(fields))) do
    values[#values + 1] = fields[i]
    was_there = was_there or known
    local sum = (tonumber(known or 0) or 0) + amounts[fields[i]]
    values[#values + 1] = string.format(sum % 1 == 0 and '%.0f' or '%.15g', sum)
  end
  local others = when_new and not was_there and when_new()
  if others then return add_all(name, others) end
  redis.call('HSET', name, unpack(values))
  return was_there
end

-- Add to what a caller, and all callers together, spent today. `add` returns whether a field was there: then the record has
-- its expiry.
local function for_today(caller, add)
  local day = day_of(now())
  for _, whose in ipairs({caller, ''}) do
    local name = spend_of(whose, day)
    if not add(name) then redis.call('EXPIRE', name, KEPT_DAYS) end
  end
end

-- Rare: add to one field of the day.
local function add_to_day(caller, field, by)
  -- A sum of little more than what is added may be that of a new field.
  for_today(caller, function(name) return tonumber(redis.call('HINCRBYFLOAT', name, field, by)) > 1.5 * by end)
end

local function add_all_to_day(caller, amounts)
  for_today(caller, function(name) return add_all(name, amounts) end)
end

-- Rare: add to what a caller's jobs of one `label` used today, by model. A caller gets so many fields a day; then labels that
-- are new count as one.
local function add_usage(caller, label, model, amounts)
  local day = day_of(now())
  local name = usage_of(caller, day)
  local function fields()
    local found = {}
    for what, amount in pairs(amounts) do
      if amount ~= 0 then found[label .. '\n' .. model .. '\n' .. what] = amount end
    end
    return found
  end
  local function other_fields()
    if redis.call('HEXISTS', name, label) == 1 then return nil end
    local is_full = redis.call('HLEN', name) >= MOST_USAGE
    if is_full then label = string.match(label, '^[^\n]*') .. '\n(other)' end
    if redis.call('HSETNX', name, label, 0) == 1 then -- shows that the label is known
      redis.call('EXPIRE', name, KEPT_DAYS)
      redis.call('SADD', users_of(day), caller)
      redis.call('EXPIRE', users_of(day), KEPT_DAYS)
    end
    return is_full and fields()
  end
  local found = fields()
  if next(found) then add_all(name, found, other_fields) end
end

-- Return the label of a job, KEY\nTAG.
local function label_of(id) return redis.call('HGET', record_of(id), 'label') or '\n' end

-- Warns of a budget that is nearly spent; budget_warning.lua defines it.
local warn_of_budget

-- Tokens converted to input tokens, by the proportions of Claude's price list.
local function weight(tokens)
  return (tokens.input or 0) + 5 * (tokens.output or 0) + 0.1 * (tokens.cache_read or 0)
    + 1.25 * (tokens.cache_creation or 0)
end

local function value_of(spend)
  return spend.cost or (tonumber(redis.call('HGET', PRICES, spend.model) or 0) * weight(spend.tokens))
end

-- Count what a claim cost: a JSON array of model, cost in USD if it is known, and tokens by kind; '' for nothing. Only
-- what exceeds the amount counted for the same claim before is added. Returns what is counted now, as JSON.
local function count_spend(id, caller, text, before)
  local counted, all = {}, {}
  for _, spend in ipairs(before and before ~= '' and cjson.decode(before) or {}) do counted[spend.model] = spend end
  for _, spend in ipairs(text ~= '' and cjson.decode(text) or {}) do
    local model, old = spend.model, counted[spend.model] or {tokens = {}, cost = 0}
    -- At the present price; a later price does not change what is counted.
    local cost = math.max(old.cost, value_of(spend))
    local now_counted = {model = model, cost = cost, tokens = {}}
    if spend.cost and spend.cost > 0 and weight(spend.tokens) > 0 then
      redis.call('HSET', PRICES, model, spend.cost / weight(spend.tokens))
    end
    local more = {cost = cost - old.cost, ['cost:' .. model] = cost - old.cost}
    local counters, used = {['cost:' .. model] = cost - old.cost}, {cost = cost - old.cost}
    for kind, tokens in pairs(spend.tokens) do
      local added = math.max(0, tokens - (old.tokens[kind] or 0))
      local field = 'tokens:' .. kind .. ':' .. model
      counters[field] = added
      if added > 0 then more[field] = added end
      used[kind] = added
      now_counted.tokens[kind] = (old.tokens[kind] or 0) + added
    end
    add_all(COUNTERS, counters)
    add_all_to_day(caller, more)
    add_usage(caller, label_of(id), model, used)
    redis.call('HINCRBYFLOAT', spend_of('', day_of(now())), 'by:' .. caller, cost - old.cost)
    if redis.call('EXISTS', record_of(id)) == 1 then redis.call('HINCRBYFLOAT', record_of(id), 'cost', cost - old.cost) end
    counted[model] = now_counted
  end
  warn_of_budget(id, caller)
  for _, spend in pairs(counted) do all[#all + 1] = spend end
  return #all > 0 and cjson.encode(all) or ''
end

-- Count what a claim cost once, although the same may be reported twice. Without a caller nothing is counted.
local function count_once(id, n, caller, text)
  if text == '' or not caller then return end
  local marker = spent_of(id, n)
  redis.call('SET', marker, count_spend(id, caller, text, redis.call('GET', marker) or ''), 'EX', 86400)
end

-- Count what a running claim had spent when it is taken away; what its run reports later is counted beyond that.
local function count_so_far(id, caller, n)
  local spent = redis.call('HGET', record_of(id), 'spent')
  if spent then
    redis.call('HDEL', record_of(id), 'spent')
    count_once(id, n, caller, spent)
  end
end

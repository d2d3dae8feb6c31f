-- Put before every script that settles a claim.

-- Returns whether the store belongs to another deployment than a claim does: the same job id and claim number mean
-- nothing here. The deployment of a claim is '' when it is not known.
local function is_foreign(deployment)
  return deployment ~= '' and deployment ~= redis.call('GET', DEPLOYMENT)
end

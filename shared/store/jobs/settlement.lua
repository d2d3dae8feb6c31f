-- Put before every script that settles a claim.
-- ARGV  the last: the deployment that the claim belongs to, or '' when it is not known
-- Returns 3 and changes nothing when the store belongs to another deployment: the same job id and n mean nothing here.
if ARGV[#ARGV] ~= '' and ARGV[#ARGV] ~= redis.call('GET', DEPLOYMENT) then return 3 end

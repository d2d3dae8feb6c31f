#!/bin/sh
# Starts Valkey with the two users of the gateway and one that can do nothing but ask whether it lives. The passwords come
# by environment and go into a file in memory: on the command line everybody could read them.
set -eu
umask 077
common='resetchannels -@all +@read +@write +@connection +@transaction +@pubsub +eval +evalsha +time -@admin -@dangerous'
cat > /run/valkey/users.acl <<EOF
user default off
user health on >health resetkeys resetchannels -@all +ping
user api on >$API_REDIS_PASSWORD resetkeys ~cg:* $common &cg:*
user worker on >$WORKER_REDIS_PASSWORD resetkeys ~cg:* ~rq:* $common &cg:* &rq:* +info +client|setname +client|info
EOF
unset API_REDIS_PASSWORD WORKER_REDIS_PASSWORD
exec valkey-server --bind '*' --dir /data --aclfile /run/valkey/users.acl \
  --appendonly yes --appendfsync everysec --maxmemory-policy noeviction --maxmemory 768mb

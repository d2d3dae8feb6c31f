#!/bin/sh
# Starts Valkey with the two users of the gateway and one that can only ping. The passwords from the environment are
# written to a file in memory, because every process on the machine can read a command line.
set -eu
umask 077
run=${VALKEY_RUN:-/run/valkey}
common='resetchannels -@all +@read +@write +@connection +@transaction +@pubsub +eval +evalsha +time -@admin -@dangerous'
# `default` has all permissions but cannot log in. Valkey up to 8.1 and Redis 7 replay the append-only file's transactions,
# including those of scripts, as this user and skip commands that it may not run. Without them a restart would lose data.
cat > "$run/users.acl" <<EOF
user default off resetpass ~* &* +@all
user health on >health resetkeys resetchannels -@all +ping
user api on >$API_REDIS_PASSWORD resetkeys ~cg:* $common &cg:*
user worker on >$WORKER_REDIS_PASSWORD resetkeys ~cg:* ~rq:* $common &cg:* &rq:* +info +client|setname +client|info
EOF
unset API_REDIS_PASSWORD WORKER_REDIS_PASSWORD
exec "${VALKEY_SERVER:-valkey-server}" --bind '*' --dir "${VALKEY_DATA:-/data}" --aclfile "$run/users.acl" \
  --appendonly yes --appendfsync everysec --maxmemory-policy noeviction --maxmemory 768mb "$@"

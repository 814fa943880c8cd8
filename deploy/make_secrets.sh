#!/bin/sh
# Writes the passwords of docker-compose.yml into deploy/secrets, each once: what is there stays as it is.
# The folder is its owner's alone; the files in it are readable, because containers read them under accounts of their own.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
umask 022

random() {
    od -An -tx1 -N16 /dev/urandom | tr -d ' \n'
}

# write NAME: the standard input becomes that secret, unless there is one
write() {
    if [ -e "secrets/$1" ]; then cat > /dev/null; else cat > "secrets/$1"; fi
}

random | write postgres_password
random | write redis_password
random | write dashboard_token
random | write grafana_password
printf 'tickfarm:%s' "$(random)" | write flower_auth
printf 'postgresql://tickfarm:%s@postgres:5432/tickfarm' "$(cat secrets/postgres_password)" | write database_url
printf 'redis://tickfarm:%s@redis:6379/0' "$(cat secrets/redis_password)" | write redis_url
sed -e '/^#/d' -e "s/PASSWORD/$(cat secrets/redis_password)/" valkey/users.acl | write valkey_users
echo "deploy/secrets: $(find secrets -type f | wc -l | tr -d ' ') files; docker compose up -d --build --wait"

#!/usr/bin/env bash
# A member of the PostgreSQL cluster: renders Patroni's configuration, passwords and all, into /tmp and becomes Patroni.
set -euo pipefail

DATA=/var/lib/postgresql/17
CONF=/tmp/patroni.yml
MEMORY_LIMIT_MB=${MEMORY_LIMIT_MB:-1024}

password() { # SECRET: between quotes of YAML
    local text
    text=$(<"/run/secrets/$1/password")
    printf "'%s'" "${text//\'/\'\'}"
}

# bootstrap.dcs is what a new cluster starts with; later `patronictl edit-config` changes it for all members.
render() {
    cat <<YAML
scope: postgres
name: $POD_NAME
restapi:
  listen: 0.0.0.0:8008
  connect_address: $POD_IP:8008
  authentication:
    username: patroni
    password: $(password media-pg-superuser)
kubernetes:
  namespace: $POD_NAMESPACE
  labels:
    app.kubernetes.io/name: ngx-media
  scope_label: app.kubernetes.io/component
  role_label: role
  leader_label_value: primary
  follower_label_value: replica
  standby_leader_label_value: primary
  pod_ip: $POD_IP
bootstrap:
  dcs:
    ttl: 30
    loop_wait: 5
    retry_timeout: 10
    # bytes that a member may lack to become the primary; with synchronous_mode only a synchronous one may at all
    maximum_lag_on_failover: 1048576
    # what was committed is on two members, unless there is only one
    synchronous_mode: true
    # without the API server the primary goes on as long as all others can be asked
    failsafe_mode: true
    postgresql:
      use_pg_rewind: true
      parameters:
        max_connections: ${MAX_CONNECTIONS:-300}
        max_wal_senders: 8
        max_replication_slots: 8
        max_locks_per_transaction: 64
        max_worker_processes: 8
        wal_level: replica
        wal_log_hints: 'on'
  initdb:
    - encoding: UTF8
    - locale: C.UTF-8
    - data-checksums
    - auth-local: scram-sha-256
    - auth-host: scram-sha-256
postgresql:
  listen: 0.0.0.0:5432
  connect_address: $POD_IP:5432
  data_dir: $DATA
  bin_dir: /usr/lib/postgresql/17/bin
  pgpass: /tmp/pgpass
  authentication:
    superuser:
      username: postgres
      password: $(password media-pg-superuser)
    replication:
      username: replicator
      password: $(password media-pg-replication)
  # a new member does not wait for the next checkpoint, which may be minutes away
  basebackup:
    - checkpoint: fast
  pg_hba:
    - local all all scram-sha-256
    - host replication replicator all scram-sha-256
    - host all all all scram-sha-256
  parameters:
    unix_socket_directories: /tmp
    password_encryption: scram-sha-256
    shared_buffers: $((MEMORY_LIMIT_MB / 4))MB
    effective_cache_size: $((MEMORY_LIMIT_MB * 5 / 8))MB
    maintenance_work_mem: $((MEMORY_LIMIT_MB / 16))MB
    checkpoint_timeout: 5min
    max_wal_size: 2GB
    # a member that was away for long fetches what it lacks from the primary's files
    wal_keep_size: 512MB
    # a client that is gone is noticed, and so is what it holds
    tcp_keepalives_idle: 30
    tcp_keepalives_interval: 10
    tcp_keepalives_count: 3
    timezone: UTC
    log_timezone: UTC
    log_line_prefix: '%m [%p] %q%u@%d '
    # a statement may hold a password: its text is never logged
    log_min_error_statement: panic
YAML
}

umask 077
render >"$CONF"
mkdir -p "$DATA"
# a volume given to a group is opened to it when it is mounted; PostgreSQL refuses a directory that others can write
chmod 0700 "$DATA"
exec patroni "$CONF"

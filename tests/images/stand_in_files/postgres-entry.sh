# The first start makes the cluster and runs the scripts on a server that listens on its socket alone; then "$@" serves.
set -euo pipefail
export PGHOST=/var/run/postgresql
if [ ! -s "${PGDATA}/PG_VERSION" ]; then
    install --directory --mode 0700 "${PGDATA}"
    initdb --pgdata "${PGDATA}" --username "${POSTGRES_USER}" --pwfile <(echo "${POSTGRES_PASSWORD}") \
        --auth-host scram-sha-256 --auth-local trust --encoding UTF8 --locale C.UTF-8
    echo 'host all all all scram-sha-256' >> "${PGDATA}/pg_hba.conf"
    pg_ctl --pgdata "${PGDATA}" --wait --options "-c listen_addresses= -c unix_socket_directories=${PGHOST}" start
    for script in /docker-entrypoint-initdb.d/*.sh; do
        # shellcheck disable=SC1090 # whatever is mounted there
        . "${script}"
    done
    pg_ctl --pgdata "${PGDATA}" --wait --mode fast stop
fi
exec "$@" -c listen_addresses='*' -c unix_socket_directories="${PGHOST}"

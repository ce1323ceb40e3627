#!/bin/sh
# Runs once, when the volume is new: who looks at the server, then a database per service, its owner role, its app role,
# its reader role, and nobody else. The exporter sees what the server does, dashboards what migrations let them read.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER}" --dbname postgres --set password="${OBSERVER_PASSWORD}" <<'SQL'
CREATE ROLE observer LOGIN PASSWORD :'password';
GRANT pg_monitor TO observer;
CREATE ROLE dashboards LOGIN PASSWORD :'password';
SQL
for service in ${SERVICES}; do
    psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER}" --dbname postgres \
        --set service="${service}" --set owner="${service}_owner" --set app="${service}_app" \
        --set reader="${service}_reader" --set password="${SERVICE_PASSWORD}" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE ROLE :"app" LOGIN BYPASSRLS PASSWORD :'password';
CREATE ROLE :"reader" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"owner";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"service" TO :"app", :"reader", observer;
SQL
done
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER}" --dbname postgres <<'SQL'
GRANT CONNECT ON DATABASE transaction_history TO dashboards;
SQL

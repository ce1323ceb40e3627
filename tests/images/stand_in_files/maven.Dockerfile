# What Maven would fetch, and a `mvn` that puts it where it is asked to.
FROM python:3.11-slim-bookworm
COPY agent /jars
COPY mvn.sh /usr/local/bin/mvn
RUN chmod 755 /usr/local/bin/mvn

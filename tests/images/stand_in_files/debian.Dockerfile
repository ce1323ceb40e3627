# One program of Debian's, under the name of an official image.
FROM python:3.11-slim-bookworm
COPY program /bin/program
# Where Debian's Alertmanager has what the official one has inside.
COPY templates /usr/share/prometheus/alertmanager
COPY answered.py /answered.py
COPY answered.sh /usr/local/bin/wget
RUN chmod 755 /bin/program /usr/local/bin/wget && install --directory --owner 65534 --group 65534 /prometheus /alertmanager
USER 65534
ENTRYPOINT ["/bin/program"]

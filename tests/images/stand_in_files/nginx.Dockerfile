# The wheel's nginx, with the official image's templates.
FROM python:3.11-slim-bookworm
COPY nginx /usr/sbin/nginx
COPY nginx-entry.py /entry.py
COPY answered.py /answered.py
COPY answered.sh /usr/local/bin/curl
RUN chmod 755 /usr/sbin/nginx /usr/local/bin/curl && echo 'nginx:x:101:101::/:/bin/sh' >> /etc/passwd \
    && echo 'nginx:x:101:' >> /etc/group
STOPSIGNAL SIGQUIT
ENTRYPOINT ["python", "/entry.py"]

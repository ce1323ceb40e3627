# Apache Kafka of Maven's jars, with the programs and the entry of the official image that docker-compose.yml asks for.
FROM python:3.11-slim-bookworm
COPY tools /opt/kafka/libs
COPY jars /opt/kafka/libs
COPY java-runtime /opt/java
COPY log4j2.xml /opt/kafka/log4j2.xml
COPY kafka-run-class.sh kafka-topics.sh kafka-broker-api-versions.sh /opt/kafka/bin/
COPY kafka-entry.py /entry.py
RUN chmod 755 /opt/kafka/bin/*.sh && echo 'appuser:x:1000:1000::/home/appuser:/bin/sh' >> /etc/passwd \
    && install --directory --owner 1000 --mode 0755 /opt/kafka/config /opt/kafka/logs /var/lib/kafka /var/lib/kafka/data
ENTRYPOINT ["python", "/entry.py"]

"""The whole platform on one machine: PostgreSQL, Kafka and every process."""

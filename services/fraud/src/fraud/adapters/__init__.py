"""PostgreSQL, Kafka and the rule file."""

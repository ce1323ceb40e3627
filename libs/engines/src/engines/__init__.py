"""Real PostgreSQL and Kafka as child processes: ports, accounts, folders, roles, databases and topics."""

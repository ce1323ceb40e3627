"""Acting on fraud decisions: a decision read from Kafka becomes a command."""

"""Where requests come in: parsed here, trusted inside."""

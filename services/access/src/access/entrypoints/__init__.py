"""Where requests come in and answers are made."""

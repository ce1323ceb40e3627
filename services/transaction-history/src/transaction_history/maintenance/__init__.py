"""What operators run on the read model: rebuilding it. Only bootstrap knows of it."""

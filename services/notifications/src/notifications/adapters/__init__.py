"""The database, DNS, HTTP and the sealing of secrets."""

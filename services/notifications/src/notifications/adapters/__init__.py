"""The database, DNS, HTTP and the encryption of secrets."""

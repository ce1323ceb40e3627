"""The owner of identities: tenants, issuers, service accounts and their keys, subjects, limits."""

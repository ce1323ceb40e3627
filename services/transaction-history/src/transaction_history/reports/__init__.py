"""Reports on a tenant: what each says, and the files they become."""

"""Jobs of tenants: asked for by the API, carried out by workers."""

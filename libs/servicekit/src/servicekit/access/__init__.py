"""Who asks, and whether they may: admission of requests, and what a service knows of identities."""

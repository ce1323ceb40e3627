"""The ASGI edge: connections, reading a request, command routes, errors as problem documents, what is left behind."""

"""The ASGI edge: connections, reading a request, hot routes, errors as problem documents, what is left behind."""

"""HTTP, in rooms: `edge` takes a request, `routes` answers it, `openapi` tells of routes, `pages` every process has.

`app` joins them; problem documents belong to all of them.
"""

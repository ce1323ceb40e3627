"""The gateway: nginx in front of every API, with routes made from the OpenAPI documents."""

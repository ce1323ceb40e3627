"""Requests to addresses that strangers name: URLs read strictly, addresses vetted, connections pinned to them."""

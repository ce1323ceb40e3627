"""What ordinary routes are made of: their dependencies, paging and answers."""

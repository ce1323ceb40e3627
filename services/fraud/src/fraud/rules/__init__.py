"""Where rules come from, and which are in force: the file, its schema, the database, and what holds them."""

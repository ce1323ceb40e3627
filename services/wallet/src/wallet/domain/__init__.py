"""The rules: what a command does to the rows it names, decided without I/O, clock or randomness."""

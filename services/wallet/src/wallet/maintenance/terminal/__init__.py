"""How each of them is shown on the terminal."""

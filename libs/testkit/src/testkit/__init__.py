"""For tests only: databases, a broker, clocks and strategies."""

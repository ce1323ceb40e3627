"""What crosses a service's border: money, ids, positions, events, topics and problem codes. No I/O."""

"""What workers do by themselves: forget what is old, cancel what nobody will get, measure what waits."""

"""Reading a projection: waiting for a position, telling how fresh an answer is, refusing what is parked. No HTTP."""

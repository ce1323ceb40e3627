-- Nothing keeps copies of parked events any more.

DROP TABLE servicekit.parked_event;

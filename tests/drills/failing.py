"""What a drill that does not hold raises."""


class DrillFailed(Exception):
    """What was promised did not come about. The message says what."""

"""Use cases: project, judge, ask, and try rules on the past."""

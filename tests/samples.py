"""Samples that the tests of several pages use."""

MACHINE = {
    "processor": "A processor",
    "cores": 2,
    "memory_gib": 8,
    "system": "Linux",
    "python": "3.11",
    "postgresql": "18",
    "load_before": 0.1,
}

"""Pages that every process or every API has: health, metrics, reference and documentation."""

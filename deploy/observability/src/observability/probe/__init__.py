"""The probe: a customer of our own, who uses the platform from outside and tells what became of it."""

"""How any service runs: HTTP, processes, pools, migrations, relay, consumer and telemetry."""

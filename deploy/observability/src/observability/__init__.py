"""What an operator sees: dashboards, objectives, rules, alerts, and a probe from outside."""

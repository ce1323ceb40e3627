-- Up to when what a job looks at is complete: nothing that occurred before came later. Null where that was not known.

alter table history_jobs.job add column complete_until timestamptz;

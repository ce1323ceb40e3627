-- Planned once and kept: with small arrays PostgreSQL would plan each statement anew in every call, since a plan made for
-- two rows looks cheaper than the one for any number, and planning took longer than all that the batch does.
alter function wallet.lock_batch set plan_cache_mode = force_generic_plan;
alter function wallet.write_batch set plan_cache_mode = force_generic_plan;
alter function wallet.commit_fenced_batch set plan_cache_mode = force_generic_plan;

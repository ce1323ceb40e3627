-- What a caller that acts for some owners alone is shown: without it, its list would pass over all of the tenant's rows.

create index decision_by_owner on fraud.decision (tenant_id, owner_id, decided_at, decision_id);

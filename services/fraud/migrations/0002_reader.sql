-- What the API reads as: a role that sees the rows of the tenant its connection was lent for, and no other's. The
-- predicate in each statement stays. The app role is exempt: it bypasses row-level security.

grant usage on schema fraud, servicekit to :"reader_role";
grant select on fraud.profile, fraud.decision to :"reader_role";
-- Of no tenant: the rules, how far the projection is, and that a subject is parked, not why.
grant select on fraud.rules_version, fraud.rules_state, servicekit.checkpoint, servicekit.projection_lag
    to :"reader_role";
grant select (projection, subject) on servicekit.parked_subject to :"reader_role";

alter table fraud.profile enable row level security;
alter table fraud.decision enable row level security;

create policy of_one_tenant on fraud.profile for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on fraud.decision for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

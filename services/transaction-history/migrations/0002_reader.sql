-- What the API reads as: a role that sees the rows of the tenant its connection was lent for, and no other's. The
-- predicate in each statement stays. The app role is exempt: it bypasses row-level security.

grant usage on schema transaction_history, servicekit to :"reader_role";
grant select on transaction_history.wallet, transaction_history.entry, transaction_history.system_entry
    to :"reader_role";
-- Of no tenant: how far the projection is, and that a subject is parked, not why.
grant select on servicekit.checkpoint, servicekit.projection_lag to :"reader_role";
grant select (projection, subject) on servicekit.parked_subject to :"reader_role";

alter table transaction_history.wallet enable row level security;
alter table transaction_history.entry enable row level security;
alter table transaction_history.system_entry enable row level security;

create policy of_one_tenant on transaction_history.wallet for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on transaction_history.entry for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on transaction_history.system_entry for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

-- What the API reads as: a role that sees the rows of the tenant its connection was lent for, and no other's. The
-- predicate in each statement stays. The app role is exempt: it bypasses row-level security. Secrets are not for it.

grant usage on schema notifications to :"reader_role";
grant select on notifications.endpoint, notifications.endpoint_wallet, notifications.message, notifications.delivery,
    notifications.attempt to :"reader_role";

alter table notifications.endpoint enable row level security;
alter table notifications.endpoint_wallet enable row level security;
alter table notifications.message enable row level security;
alter table notifications.delivery enable row level security;
alter table notifications.attempt enable row level security;

create policy of_one_tenant on notifications.endpoint for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on notifications.endpoint_wallet for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on notifications.message for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on notifications.delivery for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
-- An attempt is its delivery's, which this policy's own look at it sees for one tenant.
create policy of_one_tenant on notifications.attempt for select to :"reader_role"
    using (exists (select from notifications.delivery d where d.id = delivery_id));

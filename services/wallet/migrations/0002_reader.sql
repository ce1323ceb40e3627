-- What the API reads as: a role that sees the rows of the tenant its connection was lent for, and no other's. The
-- predicate in each statement stays. The app role is exempt: it bypasses row-level security.

grant usage on schema wallet to :"reader_role";
grant select on wallet.wallet, wallet.state, wallet.journal, wallet.transaction_reference, wallet.archived_journal,
    wallet.archived_partition to :"reader_role";

alter table wallet.wallet enable row level security;
alter table wallet.state enable row level security;
alter table wallet.journal enable row level security;
alter table wallet.transaction_reference enable row level security;
alter table wallet.archived_journal enable row level security;

create policy of_one_tenant on wallet.wallet for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on wallet.state for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on wallet.journal for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on wallet.transaction_reference for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on wallet.archived_journal for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

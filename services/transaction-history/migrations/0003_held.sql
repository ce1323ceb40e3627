-- What is held of the wallet after a change that is about holds alone; null for any other.
alter table transaction_history.state_change add column held_minor_after bigint;

grant select on transaction_history.state_change to :"reader_role";
alter table transaction_history.state_change enable row level security;
create policy of_one_tenant on transaction_history.state_change for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);

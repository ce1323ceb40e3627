-- A row of any other kind as a batch reads and writes it.
create type wallet.state_row as (
    kind smallint, id uuid, tenant_id uuid, wallet_id uuid, status smallint, cap_minor bigint, used_minor bigint,
    due_at timestamptz, version bigint, changed_at timestamptz, body bytea, private bytea, stamp bigint);

create or replace function wallet.state_as_read(s wallet.state) returns wallet.state_row
language sql immutable parallel safe as $$
    select (s.kind, s.id, s.tenant_id, s.wallet_id, s.status, s.cap_minor, s.used_minor, s.due_at, s.version,
            s.changed_at, s.body, s.private, s.stamp)::wallet.state_row
$$;

revoke execute on function wallet.state_as_read from public;
grant execute on function wallet.state_as_read to :"app_role", :"reader_role";

-- A wallet as a batch reads it, and writes it where more of it changes than its money.
create type wallet.wallet_row as (
    id uuid, tenant_id uuid, owner_id text, currency text, status smallint, restrictions text, posted_minor bigint,
    held_minor bigint, overdraft_limit_minor bigint, version bigint, opened_at timestamptz, last_at timestamptz,
    private bytea, operator_version bigint, stamp bigint);

create or replace function wallet.wallet_as_read(w wallet.wallet) returns wallet.wallet_row
language sql immutable parallel safe as $$
    select (w.id, w.tenant_id, w.owner_id, w.currency, w.status, w.restrictions, w.posted_minor, w.held_minor,
            w.overdraft_limit_minor, w.version, w.opened_at, w.last_at, w.private, w.operator_version,
            w.stamp)::wallet.wallet_row
$$;

revoke execute on function wallet.wallet_as_read from public;
grant execute on function wallet.wallet_as_read to :"app_role", :"reader_role";

-- Lease the oldest due deliveries: of each endpoint at most its *attempts*, and no more than its *attempts_max* under
-- way over all workers. The endpoints' rows are locked first (one that another worker holds is passed over), and what is
-- under way is counted by a statement that begins afterwards: so the count is exact. Of a delivery's attempts the last
-- *attempts_kept* are kept, of an endpoint's secrets the newest *secrets_max* sign.
create or replace function notifications.lease_deliveries(
    token uuid, lease_s double precision, endpoints uuid[], attempts integer[], attempts_max integer[],
    attempts_kept integer, secrets_max integer)
returns table (id uuid, endpoint_id uuid, message_id uuid, tenant_id uuid, attempt integer, failures integer, url text,
               type text, wallet_id uuid, body bytea, traceparent text, secret_ids uuid[], key_versions smallint[],
               sealed bytea[])
language plpgsql volatile set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    held uuid[];
begin
    held := array(
        select e.id from notifications.endpoint as e
        where e.id = any (endpoints) and e.status = 'active'
        for no key update skip locked);
    return query
        with chosen as materialized (
            select picked.id
            from unnest(endpoints, attempts, attempts_max) as wanted (endpoint_id, attempts, attempts_max)
            cross join lateral (
                select d.id from notifications.delivery as d
                where d.endpoint_id = wanted.endpoint_id and d.status = 'pending' and d.next_attempt_at <= now()
                order by d.next_attempt_at, d.id
                limit greatest(0, least(wanted.attempts, wanted.attempts_max - (
                    select count(*) from notifications.delivery as busy
                    where busy.endpoint_id = wanted.endpoint_id and busy.lease_token is not null
                      and busy.next_attempt_at > now())))
            ) as picked
            where wanted.endpoint_id = any (held)
        ), leased as (
            update notifications.delivery as d
            set lease_token = token, next_attempt_at = now() + make_interval(secs => lease_s),
                attempts = d.attempts + 1
            from chosen
            where d.id = chosen.id and d.status = 'pending' and d.next_attempt_at <= now()
            returning d.id, d.endpoint_id, d.message_id, d.tenant_id, d.attempts, d.failures
        ), begun as (
            insert into notifications.attempt (delivery_id, number, started_at, outcome)
            select leased.id, leased.attempts, now(), 'unknown' from leased
        ), forgotten as (
            delete from notifications.attempt as a using leased
            where leased.attempts > attempts_kept and a.delivery_id = leased.id
              and a.number <= leased.attempts - attempts_kept
        )
        select leased.*, e.url, m.type, m.wallet_id, m.body, m.traceparent, s.ids, s.key_versions, s.sealed
        from leased
        join notifications.endpoint as e on e.id = leased.endpoint_id
        join notifications.message as m on m.id = leased.message_id
        cross join lateral (
            select array_agg(live.id order by live.id desc) as ids,
                   array_agg(live.key_version order by live.id desc) as key_versions,
                   array_agg(live.sealed order by live.id desc) as sealed
            from (
                select s.id, s.key_version, s.sealed from notifications.endpoint_secret as s
                where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > now())
                order by s.id desc limit secrets_max
            ) as live
        ) as s;
end $$;

revoke execute on function notifications.lease_deliveries from public;
grant execute on function notifications.lease_deliveries to :"app_role";

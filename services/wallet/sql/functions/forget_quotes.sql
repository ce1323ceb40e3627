-- Delete at most *lot* quotes that nobody used and whose time is over; returns how many. The app role may delete no
-- other row of wallet.state.
create or replace function wallet.forget_quotes(lot int) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
    gone int;
begin
    delete from wallet.state s
     using (select o.id from wallet.state o
             where o.kind = 4 and o.status = 2 and o.due_at <= now()
             order by o.due_at limit lot for update skip locked) old
     where s.kind = 4 and s.id = old.id;
    get diagnostics gone = row_count;
    return gone;
end $$;

revoke execute on function wallet.forget_quotes from public;
grant execute on function wallet.forget_quotes to :"app_role";

-- What the app role may do: the journal can be read and added to, never changed.

grant usage on schema wallet to :"app_role";
grant select, insert, update on wallet.wallet to :"app_role";
grant select, insert on wallet.journal, wallet.transaction_reference to :"app_role";
grant select, insert, delete on wallet.idempotency to :"app_role";
revoke execute on all functions in schema wallet from public;
grant execute on all functions in schema wallet to :"app_role";

-- What every pool sets for its own sessions holds for all others of this database too, who may set other bounds: a lock
-- that a person waits for, or a transaction that a tool forgot, must not stop the service.
do $$
begin
    execute format('alter database %I set lock_timeout = %L', current_database(), '5s');
    execute format('alter database %I set idle_in_transaction_session_timeout = %L', current_database(), '5s');
    execute format('alter database %I set transaction_timeout = %L', current_database(), '15s');
end;
$$;

-- Found and deleted by age, in lots: a BRIN's ranges never narrow again once deleted space is used anew.
drop index notifications.idempotency_by_age;
create index idempotency_by_age on notifications.idempotency (created_at);
create index endpoint_secret_by_expiry on notifications.endpoint_secret (expires_at) where expires_at is not null;
create index endpoint_left on notifications.endpoint (id) where status <> 'active';

-- A message goes with the last of its deliveries, and not by its age.
drop index notifications.message_by_age;
delete from notifications.message as m
where not exists (select from notifications.delivery as d where d.message_id = m.id);

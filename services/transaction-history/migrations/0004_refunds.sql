-- What an entry takes back, which hold it captures and which fee it is, and whether it went through rules. refund_minor stands in one entry of each refund: how much
-- of the related transaction it takes back, of refundable_minor in all.
alter table transaction_history.entry
    add column related_transaction_id uuid,
    add column is_forced boolean not null default false,
    add column refund_minor bigint,
    add column refundable_minor bigint,
    add column refund_currency text collate "C",
    add column hold_id uuid,
    add column fee_rule text collate "C";

create index entry_by_related_transaction on transaction_history.entry (related_transaction_id)
    where refund_minor is not null;

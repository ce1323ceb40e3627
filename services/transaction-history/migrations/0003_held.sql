-- What is held of the wallet after a change that is about holds alone; null for any other.
alter table transaction_history.state_change add column held_minor_after bigint;

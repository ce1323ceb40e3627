-- Closed wallets are counted by it. An update that does not close a wallet leaves it alone, and stays within its page.
create index wallet_by_closing on transaction_history.wallet (tenant_id, currency) where status = 'closed';

-- When a token was used last, so that an admin sees which ones nobody needs: noted at most once a minute by each process.
ALTER TABLE token ADD COLUMN last_used_at timestamptz;
GRANT UPDATE (last_used_at) ON token TO orderledger_app;

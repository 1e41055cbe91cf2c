-- In which language a kept answer is told, so that it is given again with the Content-Language that it had.
ALTER TABLE idempotency ADD COLUMN language text COLLATE "C"; -- null, beside a status: kept before this was noted
GRANT UPDATE (language) ON idempotency TO orderledger_app;

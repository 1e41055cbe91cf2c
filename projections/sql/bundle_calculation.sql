-- The figures of a view of a bundle: per salesperson (NULL: nobody) and currency, gross in micros (10^-6) and credited
-- in 10^-10. It runs unchanged in DuckDB and in PostgreSQL over two tables:
--
-- credit_line    credit_lines.parquet: the period's credit lines as known at position {position}
-- rule_interval  rules.parquet: the resolved rules, by profile and days
--
-- Between the lines of dashes is the ledger's own calculation (its comments too), with the texts in place of integers;
-- orders are not counted here.
SELECT key_0 AS salesperson_id, currency, gross, credited
FROM (
-- ----------------------------------------------------------------------------
{calculation}
-- ----------------------------------------------------------------------------
) AS performance
WHERE gross <> 0 OR credited <> 0
ORDER BY key_0, currency

-- What order events recorded at the positions (after, until] bring to a period: per event and salesperson, at the
-- shares that the rules in force at those positions give (rule_interval, as in performance.sql).
WITH {rules} profiled AS (
    SELECT l.position, l.salesperson, l.currency, l.ordered_on, l.amount, {profile}
    FROM {credit} l {joins}
    WHERE l.position > {after} AND l.position <= {until} AND l.credited_on >= {start} AND l.credited_on < {end}
)
SELECT p.position, p.salesperson, p.currency,
       sum(p.amount)                                                AS gross,
       coalesce(sum(CAST(p.amount AS numeric(38, 0)) * r.share), 0) AS credited
FROM profiled p
LEFT JOIN rule_interval r ON {profile_match}
     AND p.ordered_on >= r.valid_from AND p.ordered_on < r.valid_to
GROUP BY p.position, p.salesperson, p.currency

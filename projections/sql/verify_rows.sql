-- Where a table of the serving generation differs from a fresh one: the rows that are not in both, by position; above 0
-- where the serving one has more of them.
--
-- Each generation numbers its texts itself: the fresh one's integers become the serving one's.
WITH same AS MATERIALIZED (
    SELECT f.id AS fresh, s.id AS served FROM {fresh}.term f JOIN {served}.term s USING (kind, value)
    UNION ALL SELECT 0, 0
)
SELECT position, sum(here) AS surplus
FROM (
    SELECT {columns}, 1 AS here FROM {served}.{table} l WHERE l.position <= {position}
    UNION ALL
    SELECT {translated}, -1 FROM {fresh}.{table} l {joins} WHERE l.position <= {position}
) AS rows_of_both ({names}, here)
GROUP BY {names}
HAVING sum(here) <> 0
ORDER BY position, surplus
LIMIT {limit}

-- The events of a bundle, in order: those of every order with a credit line in the period, and all that are not of orders.
WITH concerned AS (
    SELECT DISTINCT order_key
    FROM credit_line
    WHERE credited_on >= {start} AND credited_on < {end} AND position <= {position}
)
SELECT e.position, e.state
FROM concerned c
JOIN event placed ON placed.position = c.order_key
JOIN event e ON e.subject = placed.subject AND e.position <= {position}
UNION ALL
SELECT position, state
FROM event
WHERE position <= {position} AND NOT starts_with(type, 'order.')
ORDER BY position

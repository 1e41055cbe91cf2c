-- Review: orders reclassified at least so often, and what they are worth per currency (a voided order: nothing).
WITH often AS (
    SELECT e.subject, count(*) AS times
    FROM event e
    WHERE e.type = 'order.reclassified' AND e.position <= %(position)s
    GROUP BY e.subject
    HAVING count(*) >= %(times_min)s
), placed AS (
    SELECT e.position AS order_key, o.times
    FROM often o
    JOIN event e ON e.subject = o.subject AND e.version = 1
), most AS (
    SELECT p.order_key, p.times
    FROM placed p
    ORDER BY p.times DESC, p.order_key
    LIMIT %(examples_max)s
)
SELECT currency.value AS currency, (SELECT count(*) FROM placed) AS orders, sum(l.amount) AS amount,
       (SELECT array_agg(m.order_key ORDER BY m.times DESC, m.order_key) FROM most m) AS examples
FROM placed p
LEFT JOIN credit_cell l ON l.order_key = p.order_key AND l.position <= %(position)s
LEFT JOIN term currency ON currency.id = l.currency
GROUP BY currency.value

-- What a change moves by salesperson, period and currency; the last row counts the orders that it touches, each once.
SELECT salesperson, period, currency, sum(before) AS before, sum(after) AS after, count(*) AS orders
FROM by_order
WHERE before <> after
GROUP BY salesperson, period, currency
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, count(DISTINCT order_key)
FROM by_order
WHERE before <> after
ORDER BY salesperson, period, currency

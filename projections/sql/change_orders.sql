-- The orders that a change touches, in the order in which they were placed: what each is worth to a salesperson in a
-- period, before and after. An order's rows are not told apart from each other by the limit, which is of orders.
SELECT order_key, salesperson, period, currency, before, after
FROM by_order
WHERE before <> after AND order_key IN (
    SELECT DISTINCT order_key FROM by_order WHERE before <> after AND order_key > {after} ORDER BY order_key LIMIT {limit}
)
ORDER BY order_key, salesperson, period, currency

-- Review: orders whose type contradicts the customer's history, per type and currency, the earliest first.
--
-- A first order's type is contradicted by an order of the customer's on an earlier day. A repeat order's type is
-- contradicted where there is no order before it, nor one of another type on the same day that could be the first; of
-- several on that day it is the one recorded first. A voided order never was; one that was cancelled on a later day was.
WITH entry AS (
    SELECT l.order_key, l.customer, l.order_type, l.currency, l.ordered_on, l.credited_on, sum(l.amount) AS amount
    FROM credit_cell l
    WHERE l.position <= %(position)s
    GROUP BY l.order_key, l.customer, l.order_type, l.currency, l.ordered_on, l.credited_on
    HAVING sum(l.amount) <> 0 OR sum(l.quantity) <> 0 OR sum(l.lines) <> 0
), known AS (
    SELECT e.order_key, e.customer, order_type.value AS order_type, e.currency, e.ordered_on, sum(e.amount) AS amount
    FROM entry e
    JOIN term order_type ON order_type.id = e.order_type
    GROUP BY e.order_key, e.customer, order_type.value, e.currency, e.ordered_on
), placed AS (
    SELECT k.*, min(k.ordered_on) OVER (PARTITION BY k.customer) AS first_on,
           row_number() OVER (PARTITION BY k.customer
                              ORDER BY k.ordered_on, k.order_type = ANY(%(repeats)s), k.order_key) AS number
    FROM known k
), contradicting AS (
    SELECT 'known_customer_as_first' AS kind, p.*
    FROM placed p
    WHERE p.order_type = ANY(%(first_orders)s) AND p.ordered_on > p.first_on
    UNION ALL
    SELECT 'first_order_as_repeat' AS kind, p.*
    FROM placed p
    WHERE p.order_type = ANY(%(repeats)s) AND p.number = 1
)
SELECT c.kind, c.order_type, currency.value AS currency, count(*) AS orders, sum(c.amount) AS amount,
       (array_agg(c.order_key ORDER BY c.ordered_on, c.order_key))[1:%(examples_max)s] AS examples
FROM contradicting c
JOIN term currency ON currency.id = c.currency
GROUP BY c.kind, c.order_type, currency.value

-- How many orders are behind each figure, where one order may reach a group by several lines of which some count and
-- some don't, or by several salespeople: lines are counted per order first (a cancellation takes them back). Given is
-- what that adds to performance.sql's own count, which sums a marker on one line per order and salesperson.
--
-- Used for all orders when the groups are not by salesperson or tell the products of one order apart; for the orders
-- with a product or category that a rule names; otherwise an order's lines for one salesperson share one fate, and
-- there is nothing to add. The sign of an integer is a float in PostgreSQL: it is made an integer again, as counts are.
WITH {rules} profiled AS (
    SELECT {keys}, l.currency, l.ordered_on, l.lines, l.orders, l.order_key, {profile}
    FROM {credit} l {joins}
    WHERE l.credited_on >= {start} AND l.credited_on < {end} AND l.position <= {position} {orders_meant}
    OFFSET 0
), counted AS (
    SELECT {key_names}, p.currency, p.order_key,
           CAST(sign(sum(p.lines)) AS bigint) - sum(p.orders) AS gross_orders,
           CAST(sign(coalesce(sum(p.lines) FILTER (WHERE r.share > 0), 0)) AS bigint)
               - coalesce(sum(p.orders) FILTER (WHERE r.share > 0), 0) AS orders
    FROM profiled p
    LEFT JOIN rule_interval r ON {profile_match}
         AND p.ordered_on >= r.valid_from AND p.ordered_on < r.valid_to
    GROUP BY {key_names}, p.currency, p.order_key
)
SELECT {key_names}, currency, sum(gross_orders) AS gross_orders, sum(orders) AS orders
FROM counted
GROUP BY {key_names}, currency

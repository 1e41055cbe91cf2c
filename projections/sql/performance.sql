-- Performance: the credit lines of a period, each at the share that the rules give it on the day of its order.
--
-- credit_line    as known at a position: signed, in micros; credit_cell, its sums per order, where no rule and no
--                group names a product or category
-- rule_interval  the resolved rules: for lines of this profile, ordered on these days, this share (ten-thousandths);
--                at most one for a profile and day; where there is none, it does not count
--
-- A line's profile is a number made of its values of the attributes that rules name; other values make no difference.
-- Amounts are summed per share first and multiplied once, so every sum is of exact integers.
WITH {rules} profiled AS (
    SELECT {keys}, l.currency, l.ordered_on, l.amount, l.quantity, l.orders, {profile}
    FROM {credit} l {joins}
    WHERE l.credited_on >= {start} AND l.credited_on < {end} AND l.position <= {position}
), shared AS (
    SELECT {key_names}, p.currency, r.share,
           sum(p.amount) AS amount, sum(p.quantity) AS quantity, sum(p.orders) AS orders
    FROM profiled p
    LEFT JOIN rule_interval r ON {profile_match}
         AND p.ordered_on >= r.valid_from AND p.ordered_on < r.valid_to
    GROUP BY {key_names}, p.currency, r.share
)
SELECT {key_names}, currency,
       sum(amount)                                        AS gross,
       coalesce(sum(amount * share), 0)                   AS credited,
       sum(quantity)                                      AS gross_quantity,
       coalesce(sum(quantity) FILTER (WHERE share > 0), 0) AS quantity,
       sum(orders)                                        AS gross_orders,
       coalesce(sum(orders) FILTER (WHERE share > 0), 0)  AS orders
FROM shared
GROUP BY {key_names}, currency

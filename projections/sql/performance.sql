-- Performance: the credit lines of a period, each at the share that the rules give it on the day of its order.
--
-- credit         the credit lines as known at a position: signed, in micros. Where no group tells products apart it is
--                credit_cell, their sums per order; a line with a product or category that some rule names is taken
--                out of its cell and put back with its product
-- rule_interval  the resolved rules: for lines of this profile, ordered on these days, this share (ten-thousandths);
--                at most one for a profile and day; where there is none, it does not count
--
-- A line's profile is a number made of its values of the attributes that rules name; other values make no difference.
-- Every sum is of exact numbers. An amount times a share may need more than 63 bits; then `amount` is one of numeric,
-- else the integer, which is multiplied several times faster (resolution.calculate).
--
-- OFFSET 0 has the profile computed once for each line, instead of again for every interval that it is compared with.
WITH {rules} profiled AS (
    SELECT {keys}, l.currency, l.ordered_on, l.amount, l.quantity, l.orders, {profile}
    FROM {credit} l {joins}
    WHERE l.credited_on >= {start} AND l.credited_on < {end} AND l.position <= {position}
    OFFSET 0
)
SELECT {key_names}, p.currency,
       sum(p.amount)                                                   AS gross,
       coalesce(sum({amount} * r.share), 0)                            AS credited,
       sum(p.quantity)                                                 AS gross_quantity,
       coalesce(sum(p.quantity) FILTER (WHERE r.share > 0), 0)         AS quantity,
       sum(p.orders)                                                   AS gross_orders,
       coalesce(sum(p.orders) FILTER (WHERE r.share > 0), 0)           AS orders
FROM profiled p
LEFT JOIN rule_interval r ON {profile_match}
     AND p.ordered_on >= r.valid_from AND p.ordered_on < r.valid_to
GROUP BY {key_names}, p.currency

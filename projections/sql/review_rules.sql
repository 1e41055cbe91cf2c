-- Review: for each rule, the orders that meet its conditions on one of its days, and the rules that decide about them.
--
-- rule_match  for lines of this profile, ordered on these days, the rule matches and the decider decides; the two are
--             the same where the rule wins. Several rows for a profile and day, one per rule.
--
-- What was corrected away is no match: the lines of one order, profile and day of credit are summed first, and those
-- of which nothing is left are left out.
WITH rule_match AS (
    SELECT *
    FROM unnest({profile_arrays}, %(valid_from)s::date[], %(valid_to)s::date[], %(rule)s::integer[],
                %(decider)s::integer[])
         AS given ({profile_columns}, valid_from, valid_to, rule, decider)
), profiled AS (
    SELECT l.order_key, l.currency, l.ordered_on, l.credited_on, l.quantity, l.amount, l.lines, {profile}
    FROM {credit} l {joins}
    WHERE l.position <= {position}
), netted AS (
    SELECT p.order_key, p.currency, p.ordered_on, p.credited_on, {profile_columns}, sum(p.amount) AS amount
    FROM profiled p
    GROUP BY p.order_key, p.currency, p.ordered_on, p.credited_on, {profile_columns}
    HAVING sum(p.amount) <> 0 OR sum(p.quantity) <> 0 OR sum(p.lines) <> 0
)
SELECT r.rule, currency.value AS currency, count(DISTINCT p.order_key) AS orders, sum(p.amount) AS amount,
       array_agg(DISTINCT r.decider) AS deciders
FROM netted p
JOIN rule_match r ON {profile_match} AND p.ordered_on >= r.valid_from AND p.ordered_on < r.valid_to
JOIN term currency ON currency.id = p.currency
GROUP BY r.rule, currency.value

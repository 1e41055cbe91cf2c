-- What a change of a rule or a fact moves: the credit lines that count at one share before it and at another after it.
--
-- difference     for lines of this profile, ordered on these days, the two shares (ten-thousandths), where they differ
-- matching       the lines that the change can be about, by its own conditions and days: what an index finds
-- period         the number of the period a line is credited in (thresholds: the first days of the periods)
-- told           what is told of them: their sums (change_sums.sql), or the orders one by one (change_orders.sql)
--
-- An order counts as touched where what it is worth to a salesperson in a period differs.
-- What `amount` is: performance.sql.
WITH {differences} touched AS (
    SELECT l.salesperson, l.currency, l.ordered_on, l.order_key, l.amount,
           width_bucket(l.credited_on, {thresholds}) AS period, {profile}
    FROM {credit} l {joins}
    WHERE ({matching}) AND l.credited_on >= {start} AND l.credited_on < {end} AND l.position <= {position}
), by_order AS (
    SELECT p.salesperson, p.period, p.currency, p.order_key,
           sum({amount} * r.share_before) AS before, sum({amount} * r.share_after) AS after
    FROM touched p
    JOIN rule_difference r ON {profile_match} AND p.ordered_on >= r.valid_from AND p.ordered_on < r.valid_to
    GROUP BY p.salesperson, p.period, p.currency, p.order_key
)
{told}

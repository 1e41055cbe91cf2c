-- The credit lines behind a salesperson's figure of a period, in the order in which they were recorded, each with the
-- share at which it counts; their amounts sum to the figure. Which of them count is known behind the
-- rules only, so where just those are asked for, or the others, the inner limit is ALL.
WITH {rules} profiled AS (
    SELECT l.*, {profile}
    FROM credit_line l {joins}
    WHERE l.salesperson = {salesperson} AND l.credited_on >= {start} AND l.credited_on < {end}
      AND l.position <= {position} AND (l.position, l.seq) > ({after_position}, {after_seq})
    ORDER BY l.position, l.seq
    LIMIT {limit_before_rules}
)
SELECT p.position, p.seq, cause.type AS cause, substr(placed.subject, 7) AS order_id, p.line_no,
       p.ordered_on, p.credited_on, order_type.value AS order_type, customer.value AS customer_id,
       product.value AS product_id, category.value AS category, currency.value AS currency,
       p.quantity, p.amount, coalesce(r.share, 0) AS share, r.rule
FROM profiled p
LEFT JOIN rule_interval r ON {profile_match}
     AND p.ordered_on >= r.valid_from AND p.ordered_on < r.valid_to
JOIN event cause ON cause.position = p.position
JOIN event placed ON placed.position = p.order_key
JOIN term order_type ON order_type.id = p.order_type
JOIN term customer ON customer.id = p.customer
JOIN term product ON product.id = p.product
LEFT JOIN term category ON category.id = p.category
JOIN term currency ON currency.id = p.currency
WHERE {counting}
ORDER BY p.position, p.seq
LIMIT {limit}

-- The credit lines of a period as known at a position, in texts, with the class and the category that hold on the day
-- of the order, and each line's profile.
WITH profiled AS (
    SELECT l.*, {customer_class} AS class_held, {category} AS category_held, {profile}
    FROM credit_line l {joins}
    WHERE l.credited_on >= {start} AND l.credited_on < {end} AND l.position <= {position}
)
SELECT p.position, p.seq, substr(placed.subject, 7) AS order_id, p.line_no, salesperson.value AS salesperson_id,
       p.ordered_on, p.credited_on, order_type.value AS order_type, customer.value AS customer_id,
       customer_class.value AS customer_class, product.value AS product_id, category.value AS category,
       currency.value AS currency, p.quantity, p.amount, {profile_columns}
FROM profiled p
JOIN event placed ON placed.position = p.order_key
LEFT JOIN term salesperson ON salesperson.id = p.salesperson
JOIN term order_type ON order_type.id = p.order_type
JOIN term customer ON customer.id = p.customer
LEFT JOIN term customer_class ON customer_class.id = p.class_held
JOIN term product ON product.id = p.product
LEFT JOIN term category ON category.id = p.category_held
JOIN term currency ON currency.id = p.currency
ORDER BY p.position, p.seq

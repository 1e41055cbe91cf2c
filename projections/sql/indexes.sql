-- Made after a rebuild has loaded its rows, which is several times faster than before.
CREATE INDEX credit_line_credited_on ON credit_line (credited_on);
CREATE INDEX credit_line_salesperson ON credit_line (salesperson, credited_on);
CREATE INDEX credit_cell_credited_on ON credit_cell (credited_on);
CREATE INDEX customer_class_owner ON customer_class (owner);
CREATE INDEX product_category_owner ON product_category (owner);
CREATE INDEX salesperson_team_owner ON salesperson_team (owner);
CREATE INDEX quota_period ON quota (period);

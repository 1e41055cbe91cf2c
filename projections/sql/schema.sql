-- One generation of the projection, in a schema of its own. Texts that repeat are terms: integers that stand for them.

CREATE TABLE term (
    id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text    COLLATE "C" NOT NULL,             -- salesperson, order_type, customer, product, category …
    value    text    COLLATE "C" NOT NULL,
    name     text,                                     -- for people: the latest that an event gave
    named_at bigint  NOT NULL DEFAULT 0,               -- … and the position of that event
    UNIQUE (kind, value)
);

-- One order line's amount for one salesperson, signed, caused by the event at `position`. Only ever inserted.
-- An integer 0 stands for none: no salesperson, no category. Units: micros. No autovacuum reads it while it is half
-- loaded: that begins with the generation's service.
CREATE TABLE credit_line (
    position    bigint   NOT NULL,
    order_key   bigint   NOT NULL,                     -- position of the order's first event
    salesperson integer  NOT NULL,
    ordered_on  date     NOT NULL,                     -- selects the rule
    credited_on date     NOT NULL,                     -- selects the period
    order_type  integer  NOT NULL,
    customer    integer  NOT NULL,
    currency    integer  NOT NULL,
    quantity    bigint   NOT NULL,
    amount      bigint   NOT NULL,
    lines       smallint NOT NULL,
    orders      smallint NOT NULL,
    seq         integer  NOT NULL,                     -- within the event
    line_no     integer  NOT NULL,
    product     integer  NOT NULL,
    category    integer  NOT NULL
) WITH (autovacuum_enabled = off);

-- The same, the lines of one event summed where only product and category tell them apart: what the calculation reads
-- when neither rules nor groups name those.
CREATE TABLE credit_cell (
    position    bigint   NOT NULL,
    order_key   bigint   NOT NULL,
    salesperson integer  NOT NULL,
    ordered_on  date     NOT NULL,
    credited_on date     NOT NULL,
    order_type  integer  NOT NULL,
    customer    integer  NOT NULL,
    currency    integer  NOT NULL,
    quantity    bigint   NOT NULL,
    amount      bigint   NOT NULL,
    lines       smallint NOT NULL,
    orders      smallint NOT NULL
) WITH (autovacuum_enabled = off);

-- What reference facts say of an owner on the days [valid_from, valid_to), as known at the positions [position,
-- superseded): a customer's class, a product's category, a salesperson's team. A value of 0: none.
CREATE TABLE customer_class (
    owner      integer NOT NULL,
    value      integer NOT NULL,
    valid_from date    NOT NULL,
    valid_to   date    NOT NULL,
    position   bigint  NOT NULL,
    superseded bigint  NOT NULL
);
CREATE TABLE product_category (LIKE customer_class);
CREATE TABLE salesperson_team (LIKE customer_class);

-- What a salesperson is to reach in a period, in micros, as known at the positions [position, superseded).
CREATE TABLE quota (
    salesperson integer NOT NULL,
    period      text    COLLATE "C" NOT NULL,
    currency    text    COLLATE "C" NOT NULL,
    amount      bigint  NOT NULL,
    position    bigint  NOT NULL,
    superseded  bigint  NOT NULL
);

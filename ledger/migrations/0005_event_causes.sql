-- What is not of orders (rule changes, facts, periods), by position: few among very many order events.
CREATE INDEX event_not_of_orders ON event (position) WHERE NOT starts_with(type, 'order.');

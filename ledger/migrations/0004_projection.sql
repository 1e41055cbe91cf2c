-- Which generation of the projection serves. Each generation is a schema projection_<n> that can be dropped and
-- rebuilt; its position is in tracking under the schema's name.
CREATE TABLE projection (
    generation integer NOT NULL PRIMARY KEY,
    shape      text    NOT NULL,                       -- what the code that built it builds
    serving    boolean NOT NULL
);
CREATE UNIQUE INDEX projection_serving ON projection (serving) WHERE serving;

CREATE TABLE IF NOT EXISTS {s}.upstreams (
    number int4 PRIMARY KEY CHECK (number BETWEEN 1 AND 65535),
    name text NOT NULL UNIQUE,
    identity text NOT NULL,
    named text NOT NULL DEFAULT '[]'
)

CREATE TABLE IF NOT EXISTS {s}.paces (upstream int4 PRIMARY KEY, version bigint NOT NULL, sent bigint[] NOT NULL)

CREATE TABLE IF NOT EXISTS {s}.seq (one boolean PRIMARY KEY CHECK (one), n bigint NOT NULL)

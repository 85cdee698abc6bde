CREATE TABLE IF NOT EXISTS {s}.members (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    state text NOT NULL,
    ttl_ms bigint NOT NULL,
    straggle_ms bigint NOT NULL,
    renewed timestamptz NOT NULL,
    seen bigint NOT NULL,
    joined bigint NOT NULL
)

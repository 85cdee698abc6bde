CREATE TABLE IF NOT EXISTS {s}.meta (
    name text PRIMARY KEY,
    value bytea,
    number bigint
)

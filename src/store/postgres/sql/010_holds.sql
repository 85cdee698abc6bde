CREATE TABLE IF NOT EXISTS {s}.holds (
    id uuid PRIMARY KEY,
    tag bytea NOT NULL,
    upstream int4,
    body bytea NOT NULL
)

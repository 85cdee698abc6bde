CREATE TABLE IF NOT EXISTS {s}.fences (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    tag bytea NOT NULL,
    version bigint NOT NULL,
    n bigint NOT NULL,
    body bytea NOT NULL,
    ends timestamptz NOT NULL
)

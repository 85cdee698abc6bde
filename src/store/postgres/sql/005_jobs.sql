CREATE TABLE IF NOT EXISTS {s}.jobs (
    id uuid PRIMARY KEY,
    tag bytea NOT NULL,
    finished boolean NOT NULL,
    received bigint NOT NULL,
    parent uuid,
    summary bytea NOT NULL,
    body bytea NOT NULL,
    version bigint NOT NULL,
    accepted bigint NOT NULL,
    stepped bigint NOT NULL,
    wrote uuid NOT NULL,
    due timestamptz,
    owner uuid,
    owned_until timestamptz,
    home uuid
)

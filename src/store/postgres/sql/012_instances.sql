CREATE TABLE IF NOT EXISTS {s}.instances (
    upstream int4 NOT NULL,
    key bytea NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    answered boolean NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (upstream, key)
)

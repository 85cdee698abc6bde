CREATE TABLE IF NOT EXISTS {s}.placements (
    tag bytea NOT NULL,
    upstream int4 NOT NULL,
    form smallint NOT NULL,
    resource bytea NOT NULL,
    instance bytea NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    erased_at bigint,
    apis bigint NOT NULL,
    layout smallint NOT NULL,
    sealed bytea NOT NULL,
    written bigint NOT NULL,
    PRIMARY KEY (tag, upstream, form, resource, instance)
)

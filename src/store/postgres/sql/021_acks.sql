CREATE TABLE IF NOT EXISTS {s}.acks (
    fence uuid NOT NULL,
    member uuid NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (fence, member)
)

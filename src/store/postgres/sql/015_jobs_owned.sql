CREATE INDEX IF NOT EXISTS jobs_owned ON {s}.jobs (owner, tag, id) WHERE NOT finished

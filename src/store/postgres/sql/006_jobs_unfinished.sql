CREATE INDEX IF NOT EXISTS jobs_unfinished ON {s}.jobs (tag, id) WHERE NOT finished

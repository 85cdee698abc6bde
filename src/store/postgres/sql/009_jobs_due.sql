CREATE INDEX IF NOT EXISTS jobs_due ON {s}.jobs (due) WHERE NOT finished

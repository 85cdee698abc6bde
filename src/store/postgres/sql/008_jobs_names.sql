CREATE INDEX IF NOT EXISTS jobs_names ON {s}.jobs (parent) WHERE parent IS NOT NULL

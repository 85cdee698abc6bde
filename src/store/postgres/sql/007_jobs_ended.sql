CREATE INDEX IF NOT EXISTS jobs_ended ON {s}.jobs (stepped, id) WHERE finished

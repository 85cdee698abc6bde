CREATE INDEX IF NOT EXISTS placements_upstream ON {s}.placements (upstream)

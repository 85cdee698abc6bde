CREATE INDEX IF NOT EXISTS placements_marked ON {s}.placements (erased_at) WHERE erased_at IS NOT NULL

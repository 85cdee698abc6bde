CREATE INDEX IF NOT EXISTS fences_order ON {s}.fences (n)

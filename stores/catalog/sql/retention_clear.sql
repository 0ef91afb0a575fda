-- $1 text: scope. Returns how many days it said.
DELETE FROM retention_rules WHERE scope = $1 RETURNING days

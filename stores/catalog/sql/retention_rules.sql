-- All rules, by scope.
SELECT scope, days, set_by, set_ms FROM retention_rules ORDER BY scope

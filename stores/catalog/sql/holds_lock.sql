-- Whoever adds a hold waits for deletions in hand, and they for it. To the transaction's end.
SELECT pg_advisory_xact_lock(hashtextextended('legal-holds', 0))

-- Nobody adds a hold until the transaction's end; others may delete meanwhile.
SELECT pg_advisory_xact_lock_shared(hashtextextended('legal-holds', 0))

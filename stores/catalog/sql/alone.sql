-- $1 text: what one alone may do in this schema. Whether we are that one; held by the connection.
SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ' ' || $1, 0))

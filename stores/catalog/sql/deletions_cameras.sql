-- The cameras that have chunks, fragments or deletions under way, by id.
SELECT camera FROM footage UNION SELECT camera FROM deletions ORDER BY camera

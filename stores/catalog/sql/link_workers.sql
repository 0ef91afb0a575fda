-- name: keep_link_worker_alive
-- $1 text: worker; $2 text: internal address; $3 boolean: whether it drains; $4 int: its sockets.
INSERT INTO link_workers (id, address, draining, sockets) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE
SET address = $2, draining = $3, sockets = $4, seen_at = clock_timestamp()


-- name: list_link_workers
-- $1 interval: how old a keep-alive may be. The workers that are alive, by id.
SELECT id, address, draining, sockets FROM link_workers
WHERE seen_at > clock_timestamp() - $1::interval ORDER BY id


-- name: forget_link_worker
-- $1 text: worker. It has ended.
WITH links AS (DELETE FROM edge_links WHERE worker = $1)
DELETE FROM link_workers WHERE id = $1


-- name: forget_dead_link_workers
-- $1 interval: how old a keep-alive may be at least. Deletes them, and the links that they held.
WITH gone AS (
    DELETE FROM link_workers WHERE seen_at < clock_timestamp() - $1::interval RETURNING id
)
DELETE FROM edge_links WHERE worker IN (SELECT id FROM gone)

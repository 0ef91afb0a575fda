-- $1 text: camera. How far its footage reaches, by the catalog.
SELECT first_ms, last_ms FROM footage WHERE camera = $1

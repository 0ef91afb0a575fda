-- $1 text: camera. Up to when its detections are gone, and what of them was kept.
SELECT until_ms, kept::text AS kept FROM detections_gone WHERE camera = $1

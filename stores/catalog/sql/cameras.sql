-- $1 text: only this camera, null for all; $2, $3 bigint: labels seen from and to, UTC ms.
SELECT
    cameras.id, cameras.name, cameras.created_ms, footage.first_ms, footage.last_ms,
    footage.width, footage.height, seen.recent, newest.started_ms AS run_started_ms,
    newest.ended_ms AS run_ended_ms, newest.reason AS run_reason
FROM cameras
LEFT JOIN footage ON footage.camera = cameras.id
LEFT JOIN LATERAL (
    SELECT started_ms, ended_ms, reason
    FROM runs
    WHERE runs.camera = cameras.id
    ORDER BY run DESC
    LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT jsonb_agg(
        jsonb_build_object('label', label, 'count', most) ORDER BY most DESC, label) AS recent
    FROM (
        SELECT label, max(most) AS most
        FROM detection_minutes
        WHERE detection_minutes.camera = cameras.id
          AND minute_ms > $2::bigint - 60000 AND minute_ms < $3::bigint
          AND NOT EXISTS (  -- not what a replay made and nobody made current
              SELECT FROM model_replays
              WHERE model_replays.camera = cameras.id
                AND model_replays.to_ms > minute_ms AND model_replays.from_ms <= minute_ms
                AND model_replays.model = detection_minutes.model
                AND model_replays.model_version = detection_minutes.model_version
                AND model_replays.state NOT IN ('current', 'dropped')
          )
        GROUP BY label
    ) AS labels
) AS seen ON true
WHERE $1::text IS NULL OR cameras.id = $1
ORDER BY cameras.id

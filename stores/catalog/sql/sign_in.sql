-- name: account_by_login
-- $1 text: login. What a sign-in needs, of an account that may be disabled.
SELECT users.id, login, display_name, scope, disabled_ms, password_hash, secret, confirmed_ms
FROM users LEFT JOIN user_totp ON user_id = users.id
WHERE login = $1


-- name: account_by_id
-- $1 text: id of the user.
SELECT users.id, login, display_name, scope, disabled_ms, password_hash, secret, confirmed_ms
FROM users LEFT JOIN user_totp ON user_id = users.id
WHERE users.id = $1


-- name: take_attempt
-- $1 text: what is limited; $2 bigint: now, UTC ms; $3 bigint: time until one more attempt is
-- allowed, ms; $4 bigint: attempts at once. No row: none is left now.
INSERT INTO sign_in_limits AS known (subject, next_ms) VALUES ($1, $2::bigint + $3::bigint)
ON CONFLICT (subject) DO UPDATE SET next_ms = greatest(known.next_ms, $2) + $3
WHERE greatest(known.next_ms, $2) + $3 <= $2::bigint + $3::bigint * $4::bigint
RETURNING next_ms


-- name: next_attempt
-- $1 text: what is limited.
SELECT next_ms FROM sign_in_limits WHERE subject = $1


-- name: give_attempt_back
-- $1 text: what is limited; $2 bigint: time until one more attempt is allowed, ms.
UPDATE sign_in_limits SET next_ms = next_ms - $2::bigint WHERE subject = $1


-- name: delete_full_limits
-- $1 bigint: now, UTC ms.
DELETE FROM sign_in_limits WHERE next_ms <= $1


-- name: add_device
-- $1 bytea: SHA-256 of the cookie; $2 text: id of the user; $3 bigint: when it expires, UTC ms;
-- $4 bigint: now, UTC ms. Deletes those that have expired.
WITH expired AS (DELETE FROM device_cookies WHERE until_ms <= $4)
INSERT INTO device_cookies (hash, user_id, until_ms) VALUES ($1, $2, $3)
ON CONFLICT (hash) DO UPDATE SET until_ms = excluded.until_ms


-- name: is_device_of
-- $1 bytea: SHA-256 of the cookie; $2 text: login; $3 bigint: now, UTC ms.
SELECT FROM device_cookies JOIN users ON users.id = user_id
WHERE hash = $1 AND login = $2 AND until_ms > $3


-- name: delete_devices
-- $1 text: id of the user.
DELETE FROM device_cookies WHERE user_id = $1


-- name: set_totp
-- $1 text: id of the user; $2 bytea: the encrypted secret. Enrolment starts again.
INSERT INTO user_totp (user_id, secret) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0
WHERE user_totp.confirmed_ms IS NULL
RETURNING user_id


-- name: confirm_totp
-- $1 text: id of the user; $2 bigint: now, UTC ms. No row: there is no enrolment.
UPDATE user_totp SET confirmed_ms = $2 WHERE user_id = $1 AND confirmed_ms IS NULL RETURNING user_id


-- name: use_totp_step
-- $1 text: id of the user; $2 bigint: time step of the code. No row: a code of this step, or of a
-- later one, was used.
UPDATE user_totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2 RETURNING user_id


-- name: delete_totp
-- $1 text: id of the user.
DELETE FROM user_totp WHERE user_id = $1


-- name: add_recovery_code
-- $1 text: id of the user; $2 bytea: SHA-256 of the code.
INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING


-- name: use_recovery_code
-- $1 text: id of the user; $2 bytea: SHA-256 of the code. No row: there is no such code.
DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2 RETURNING user_id


-- name: delete_recovery_codes
-- $1 text: id of the user.
DELETE FROM recovery_codes WHERE user_id = $1


-- name: count_recovery_codes
-- $1 text: id of the user.
SELECT count(*) AS codes FROM recovery_codes WHERE user_id = $1

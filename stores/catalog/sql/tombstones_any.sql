-- $1 text: camera. Whether anything of it was deleted on purpose.
SELECT EXISTS (SELECT FROM tombstones WHERE camera = $1)

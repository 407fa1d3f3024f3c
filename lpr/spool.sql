-- The spool's schema and every statement on it. Each statement is named; spool.py runs them.

-- name: schema
CREATE TABLE IF NOT EXISTS meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS epochs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid          TEXT NOT NULL UNIQUE,
    reason        TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    last_sequence INTEGER NOT NULL DEFAULT 0,
    acknowledged  INTEGER NOT NULL DEFAULT 0
);

-- body: a PlateRead without its sequence, which stands beside it.
CREATE TABLE IF NOT EXISTS reads (
    epoch    INTEGER NOT NULL REFERENCES epochs (id),
    sequence INTEGER NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (epoch, sequence)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS pictures (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 BLOB NOT NULL UNIQUE,
    jpeg   BLOB NOT NULL
);

-- name: begin
BEGIN IMMEDIATE;

-- name: commit
COMMIT;

-- name: rollback
ROLLBACK;

-- name: get_note
SELECT value FROM meta WHERE key = :key;

-- name: set_note
INSERT INTO meta (key, value) VALUES (:key, :value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: all_notes
SELECT key, value FROM meta;

-- name: create_epoch
INSERT INTO epochs (uuid, reason, created_at) VALUES (:uuid, :reason, :created_at);

-- name: current_epoch
SELECT id, uuid, last_sequence FROM epochs ORDER BY id DESC LIMIT 1;

-- name: oldest_with_reads
SELECT uuid FROM epochs
WHERE EXISTS (SELECT 1 FROM reads WHERE reads.epoch = epochs.id)
ORDER BY id LIMIT 1;

-- name: epochs_with_reads
SELECT count(*) FROM epochs
WHERE EXISTS (SELECT 1 FROM reads WHERE reads.epoch = epochs.id);

-- name: epoch
SELECT id, uuid, last_sequence, acknowledged FROM epochs WHERE uuid = :uuid;

-- name: epochs
SELECT e.uuid, e.reason, e.created_at, e.last_sequence, e.acknowledged,
       (SELECT count(*) FROM reads r WHERE r.epoch = e.id) AS waiting,
       e.id = (SELECT max(id) FROM epochs) AS is_current
FROM epochs e ORDER BY e.id;

-- name: uncounted
-- Reads above their epoch's counter: the counter went back.
SELECT count(*) FROM reads r JOIN epochs e ON e.id = r.epoch
WHERE r.sequence > e.last_sequence OR e.acknowledged > e.last_sequence;

-- name: repair_counters
UPDATE epochs SET last_sequence = max(
    last_sequence, acknowledged,
    (SELECT coalesce(max(sequence), 0) FROM reads r WHERE r.epoch = epochs.id)
);

-- name: prune_epochs
-- Epochs that are delivered are of interest for a while only.
DELETE FROM epochs
WHERE id < (SELECT max(id) FROM epochs) - 20
  AND NOT EXISTS (SELECT 1 FROM reads r WHERE r.epoch = epochs.id);

-- name: add_read
INSERT INTO reads (epoch, sequence, body) VALUES (:epoch, :sequence, :body);

-- name: set_last_sequence
UPDATE epochs SET last_sequence = :last_sequence WHERE id = :epoch;

-- name: pending
SELECT sequence, body FROM reads
WHERE epoch = :epoch AND sequence > :after AND sequence <= :upto
ORDER BY sequence LIMIT :most;

-- name: boundary
-- The last of the first so many reads up to a sequence; null: none.
SELECT max(sequence) FROM (
    SELECT sequence FROM reads WHERE epoch = :epoch AND sequence <= :upto
    ORDER BY sequence LIMIT :most
);

-- name: forget
DELETE FROM reads WHERE epoch = :epoch AND sequence <= :upto;

-- name: set_acknowledged
UPDATE epochs SET acknowledged = max(acknowledged, :upto) WHERE id = :epoch;

-- name: move
-- The reads of one epoch, renumbered to follow the other's counter.
INSERT INTO reads (epoch, sequence, body)
SELECT :target, :after + row_number() OVER (ORDER BY sequence), body
FROM reads WHERE epoch = :epoch AND sequence <= :upto;

-- name: depth
SELECT count(*) FROM reads;

-- name: add_picture
INSERT INTO pictures (sha256, jpeg) VALUES (:sha256, :jpeg) ON CONFLICT DO NOTHING;

-- name: pictures
SELECT id, sha256, jpeg FROM pictures WHERE id > :after ORDER BY id LIMIT :most;

-- name: last_picture
SELECT coalesce(max(id), 0) FROM pictures;

-- name: forget_picture
DELETE FROM pictures WHERE sha256 = :sha256;

-- name: picture_totals
SELECT count(*), coalesce(sum(length(jpeg)), 0) FROM pictures;

-- name: oldest_picture
SELECT sha256, length(jpeg) FROM pictures ORDER BY id LIMIT 1;

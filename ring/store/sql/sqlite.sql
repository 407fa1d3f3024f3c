-- The event log on SQLite: its schema, then every statement of the adapter.

-- name: create_events
-- AUTOINCREMENT: a position is never given twice, even when the tail was deleted.
CREATE TABLE IF NOT EXISTS stored_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    originator_id TEXT NOT NULL,
    originator_version INTEGER NOT NULL,
    topic TEXT NOT NULL,
    state BLOB NOT NULL,
    UNIQUE (originator_id, originator_version)
)

-- name: create_topic_index
-- Finds the few events of the other topics between the many reads, in order of position.
CREATE INDEX IF NOT EXISTS stored_events_other ON stored_events (position, topic)
WHERE topic <> 'ring.read'

-- name: create_identity
CREATE TABLE IF NOT EXISTS log_identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    log_id TEXT NOT NULL
)

-- name: identify
INSERT OR IGNORE INTO log_identity VALUES (1, ?)

-- name: select_identity
SELECT log_id FROM log_identity

-- name: insert_event
INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)

-- name: adopt_event
INSERT INTO stored_events (position, originator_id, originator_version, topic, state)
VALUES (?, ?, ?, ?, ?)

-- name: select_last_position
SELECT last_insert_rowid()

-- name: select_head
SELECT seq FROM sqlite_sequence WHERE name = 'stored_events'

-- name: select_page
SELECT position, originator_id, originator_version, topic, state
FROM stored_events
WHERE position >= :start AND position <= :stop
ORDER BY position LIMIT :limit

-- name: select_page_of_topics
SELECT position, originator_id, originator_version, topic, state
FROM stored_events INDEXED BY stored_events_other
WHERE topic IN (SELECT value FROM json_each(:topics)) AND topic <> 'ring.read'
    AND position >= :start AND position <= :stop
ORDER BY position LIMIT :limit

-- name: select_page_of_topics_with_reads
SELECT position, originator_id, originator_version, topic, state
FROM stored_events
WHERE topic IN (SELECT value FROM json_each(:topics))
    AND position >= :start AND position <= :stop
ORDER BY position LIMIT :limit

-- name: select_states
SELECT position, topic, state FROM stored_events
WHERE position > :after AND position <= :stop
ORDER BY position LIMIT :limit

-- name: select_positions
SELECT position, originator_id, originator_version, topic, state
FROM stored_events
WHERE position IN (SELECT value FROM json_each(:positions))
ORDER BY position

-- name: select_known
SELECT DISTINCT originator_id FROM stored_events
WHERE originator_id IN (SELECT value FROM json_each(:originator_ids))

-- What the PostgreSQL adapter adds to the library's schema, and its own statements.

-- name: create_other_index
-- Finds the few events of the other topics between the many reads, in order of position.
CREATE INDEX IF NOT EXISTS ring_events_other ON ring_events (notification_id, topic)
WHERE topic <> 'ring.read'

-- name: create_identity
CREATE TABLE IF NOT EXISTS log_identity (
    one integer PRIMARY KEY CHECK (one = 1),
    log_id text NOT NULL
)

-- name: lock_schema
SELECT pg_advisory_lock(hashtextextended('ring schema', 0))

-- name: unlock_schema
SELECT pg_advisory_unlock(hashtextextended('ring schema', 0))

-- name: claim
-- One writer a log: held by a session of its own.
SELECT pg_try_advisory_lock(hashtextextended('ring writer', 0)) AS ours

-- name: still_there
SELECT 1

-- name: identify
INSERT INTO log_identity VALUES (1, %(log_id)s) ON CONFLICT DO NOTHING

-- name: select_identity
SELECT log_id FROM log_identity

-- name: lock_events
-- Writers go one after the other, so that positions become visible in order. Reading goes on.
LOCK TABLE ring_events IN EXCLUSIVE MODE; NOTIFY ring_events

-- name: insert_events
INSERT INTO ring_events (originator_id, originator_version, topic, state)
SELECT * FROM unnest(%(ids)b::uuid[], %(versions)b::bigint[], %(topics)b::text[], %(states)b::bytea[])
RETURNING notification_id

-- name: select_page
SELECT notification_id, originator_id, originator_version, topic, state
FROM ring_events
WHERE notification_id >= %(start)s AND notification_id <= %(stop)s
ORDER BY notification_id LIMIT %(limit)s

-- name: select_page_of_topics
SELECT notification_id, originator_id, originator_version, topic, state
FROM ring_events
WHERE topic = ANY(%(topics)s) AND topic <> 'ring.read'
    AND notification_id >= %(start)s AND notification_id <= %(stop)s
ORDER BY notification_id LIMIT %(limit)s

-- name: select_page_of_topics_with_reads
SELECT notification_id, originator_id, originator_version, topic, state
FROM ring_events
WHERE topic = ANY(%(topics)s)
    AND notification_id >= %(start)s AND notification_id <= %(stop)s
ORDER BY notification_id LIMIT %(limit)s

-- name: select_states
SELECT notification_id, topic, state FROM ring_events
WHERE notification_id > %(after)s AND notification_id <= %(stop)s
ORDER BY notification_id LIMIT %(limit)s

-- name: select_positions
SELECT notification_id, originator_id, originator_version, topic, state
FROM ring_events
WHERE notification_id = ANY(%(positions)s)
ORDER BY notification_id

-- name: select_known
SELECT DISTINCT originator_id FROM ring_events WHERE originator_id = ANY(%(originator_ids)s)

-- name: listen
LISTEN ring_events

-- name: adopt_events
COPY ring_events (notification_id, originator_id, originator_version, topic, state) FROM STDIN

-- name: adopt_position
SELECT setval(
    pg_get_serial_sequence('ring_events', 'notification_id'),
    (SELECT max(notification_id) FROM ring_events)
)

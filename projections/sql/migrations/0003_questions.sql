-- What the questions over many plates need: each plate's last entry and exit, and flows that are
-- counted once. What is kept already is counted in; that takes a minute at 100 million reads.
ALTER TABLE plates{_local} {on_cluster}
    ADD COLUMN IF NOT EXISTS last_entry SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    ADD COLUMN IF NOT EXISTS last_exit SimpleAggregateFunction(max, DateTime64(6, 'UTC'));
{cluster_only}
ALTER TABLE plates {on_cluster}
    ADD COLUMN IF NOT EXISTS last_entry SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    ADD COLUMN IF NOT EXISTS last_exit SimpleAggregateFunction(max, DateTime64(6, 'UTC'));
ALTER TABLE incoming_to_plates {on_cluster} MODIFY QUERY
SELECT
    plate, log, min(captured_at) AS first_seen, max(captured_at) AS last_seen,
    min(position) AS first_position,
    maxIf(captured_at, direction = 'entry') AS last_entry,
    maxIf(captured_at, direction = 'exit') AS last_exit
FROM incoming{_local}
GROUP BY plate, log;
INSERT INTO plates (plate, log, first_seen, last_seen, first_position, last_entry, last_exit)
SELECT
    plate, log, min(captured_at), max(captured_at), min(position),
    maxIf(captured_at, direction = 'entry'), maxIf(captured_at, direction = 'exit')
FROM sightings
GROUP BY plate, log;

-- Which quarters of an hour a read could have changed the flows of, and the last position that
-- did: its own quarter, and the next, in which it may continue a passage.
CREATE TABLE IF NOT EXISTS flow_marks{_local} {on_cluster}
(
    quarter DateTime('UTC'),
    checkpoint LowCardinality(String),
    log LowCardinality(String),
    last_position SimpleAggregateFunction(max, UInt64)
)
ENGINE = {replicated}AggregatingMergeTree
ORDER BY (quarter, checkpoint, log)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE IF NOT EXISTS flow_marks {on_cluster} AS flow_marks_local
ENGINE = Distributed({cluster}, currentDatabase(), flow_marks_local, cityHash64(checkpoint));

CREATE MATERIALIZED VIEW IF NOT EXISTS incoming_to_flow_marks {on_cluster} TO flow_marks{_local} AS
SELECT
    arrayJoin([
        toStartOfFifteenMinutes(toDateTime(captured_at, 'UTC')),
        toStartOfFifteenMinutes(toDateTime(captured_at + toIntervalSecond(60), 'UTC'))
    ]) AS quarter,
    checkpoint, log, max(position) AS last_position
FROM incoming{_local}
GROUP BY quarter, checkpoint, log;

-- Passages counted so far, by the lane and direction of their first read. A row holds as long as
-- seen equals the sum of the marks' positions, one a log; it is counted anew where it does not.
CREATE TABLE IF NOT EXISTS flow_counts{_local} {on_cluster}
(
    quarter DateTime('UTC'),
    checkpoint LowCardinality(String),
    seen UInt64,
    counts Array(Tuple(
        lane String,
        direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2),
        passages UInt32))
)
ENGINE = {replicated}ReplacingMergeTree(seen)
ORDER BY (quarter, checkpoint)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE IF NOT EXISTS flow_counts {on_cluster} AS flow_counts_local
ENGINE = Distributed({cluster}, currentDatabase(), flow_counts_local, cityHash64(checkpoint));

INSERT INTO flow_marks (quarter, checkpoint, log, last_position)
SELECT
    arrayJoin([
        toStartOfFifteenMinutes(toDateTime(captured_at, 'UTC')),
        toStartOfFifteenMinutes(toDateTime(captured_at + toIntervalSecond(60), 'UTC'))
    ]) AS quarter,
    checkpoint, log, max(position)
FROM sightings_by_checkpoint
GROUP BY quarter, checkpoint, log;

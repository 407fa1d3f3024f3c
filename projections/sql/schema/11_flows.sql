-- Which quarters of an hour a read could have changed the flows of, and the last position that
-- did: its own quarter, and the next, in which it may continue a passage.
CREATE TABLE flow_marks{_local} {on_cluster}
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
CREATE TABLE flow_marks {on_cluster} AS flow_marks_local
ENGINE = Distributed({cluster}, currentDatabase(), flow_marks_local, cityHash64(checkpoint));

CREATE MATERIALIZED VIEW incoming_to_flow_marks {on_cluster} TO flow_marks{_local} AS
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
CREATE TABLE flow_counts{_local} {on_cluster}
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
CREATE TABLE flow_counts {on_cluster} AS flow_counts_local
ENGINE = Distributed({cluster}, currentDatabase(), flow_counts_local, cityHash64(checkpoint));

-- Every plate once a log. Minima and maxima are the same however often a read comes.
-- last_entry, last_exit: its last read in that direction; 1970 where there is none. Who is present is
-- asked of every plate, so old parts become one.
CREATE TABLE plates{_local} {on_cluster}
(
    plate String,
    log LowCardinality(String),
    first_seen SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    first_position SimpleAggregateFunction(min, UInt64),
    last_entry SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    last_exit SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = {replicated}AggregatingMergeTree
ORDER BY (plate, log)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192, min_age_to_force_merge_seconds = 600;

{cluster_only}
CREATE TABLE plates {on_cluster} AS plates_local
ENGINE = Distributed({cluster}, currentDatabase(), plates_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_plates {on_cluster} TO plates{_local} AS
SELECT
    plate, log, min(captured_at) AS first_seen, max(captured_at) AS last_seen,
    min(position) AS first_position,
    maxIf(captured_at, direction = 'entry') AS last_entry,
    maxIf(captured_at, direction = 'exit') AS last_exit
FROM incoming{_local}
GROUP BY plate, log;

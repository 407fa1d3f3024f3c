-- One converging row a plate and day (UTC): the set of its reads. A set is the same in whatever
-- order the reads arrive and however often they come.
CREATE TABLE movements{_local} {on_cluster}
(
    plate String,
    day Date32,
    reads AggregateFunction(groupUniqArray, Tuple(
        captured_at DateTime64(6, 'UTC'),
        read_key UInt64,
        checkpoint String,
        direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2)))
)
ENGINE = {replicated}AggregatingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (plate, day)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 1024, min_compress_block_size = 16384,
    min_age_to_force_merge_seconds = 86400;

{cluster_only}
CREATE TABLE movements {on_cluster} AS movements_local
ENGINE = Distributed({cluster}, currentDatabase(), movements_local, cityHash64(plate));

CREATE MATERIALIZED VIEW incoming_to_movements {on_cluster} TO movements{_local} AS
SELECT
    plate,
    toDate32(captured_at) AS day,
    groupUniqArrayState(CAST(
        (captured_at, read_key, checkpoint, direction),
        'Tuple(captured_at DateTime64(6, \'UTC\'), read_key UInt64, checkpoint String, direction Enum8(\'unknown\' = 0, \'entry\' = 1, \'exit\' = 2))'
    )) AS reads
FROM incoming{_local}
GROUP BY plate, day;

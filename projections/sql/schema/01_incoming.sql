-- What the follower inserts into. It keeps nothing: the materialized views fan out from it.
-- captured_at is the time that counts: the reader's, or the time of receipt where the reader's
-- clock can't be right (time_suspect). read_key: the first 64 bits of the read's id.
CREATE TABLE incoming{_local} {on_cluster}
(
    log LowCardinality(String),
    position UInt64,
    plate String,
    captured_at DateTime64(6, 'UTC'),
    received_at DateTime64(6, 'UTC'),
    read_key UInt64,
    checkpoint LowCardinality(String),
    reader_id LowCardinality(String),
    lane LowCardinality(String),
    direction Enum8('unknown' = 0, 'entry' = 1, 'exit' = 2),
    confidence Float32,
    region LowCardinality(String),
    time_suspect Bool
)
ENGINE = Null;

{cluster_only}
CREATE TABLE incoming {on_cluster} AS incoming_local
ENGINE = Distributed({cluster}, currentDatabase(), incoming_local, cityHash64(plate));

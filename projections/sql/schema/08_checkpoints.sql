-- Where the checkpoints stand, as last registered or moved.
CREATE TABLE checkpoints
(
    code String,
    name String,
    latitude Float64,
    longitude Float64,
    placed_at DateTime64(6, 'UTC'),
    log LowCardinality(String),
    position UInt64
)
ENGINE = ReplacingMergeTree(position)
ORDER BY code
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- Where the checkpoints stand, as last registered or moved.
CREATE TABLE checkpoints{_local} {on_cluster}
(
    code String,
    name String,
    latitude Float64,
    longitude Float64,
    placed_at DateTime64(6, 'UTC'),
    log LowCardinality(String),
    position UInt64
)
ENGINE = {replicated}ReplacingMergeTree(position)
ORDER BY code
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE checkpoints {on_cluster} AS checkpoints_local
ENGINE = Distributed({cluster}, currentDatabase(), checkpoints_local, cityHash64(code));

-- Which zone each checkpoint was put in, once a placement.
CREATE TABLE checkpoint_zones{_local} {on_cluster}
(
    code LowCardinality(String),
    zone LowCardinality(String),
    placed_at DateTime64(6, 'UTC'),
    log LowCardinality(String),
    position UInt64
)
ENGINE = {replicated}ReplacingMergeTree
ORDER BY (code, log, position)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

{cluster_only}
CREATE TABLE checkpoint_zones {on_cluster} AS checkpoint_zones_local
ENGINE = Distributed({cluster}, currentDatabase(), checkpoint_zones_local, cityHash64(code));


-- How far each log has been applied: every row of an event up to here is in the tables above.
-- Those are on the disk before the position is saved (fsync_after_insert): after a power cut it may
-- be behind them, never ahead.
CREATE TABLE positions{_local} {on_cluster}
(
    log String,
    position UInt64,
    saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {replicated}ReplacingMergeTree(position)
ORDER BY log;

{cluster_only}
CREATE TABLE positions {on_cluster} AS positions_local
ENGINE = Distributed({cluster}, currentDatabase(), positions_local, cityHash64(log));

-- How far each log has been applied: every row of an event up to here is in the tables above.
-- Those are on the disk before the position is saved (fsync_after_insert): after a power cut it may
-- be behind them, never ahead.
CREATE TABLE positions
(
    log String,
    position UInt64,
    saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(position)
ORDER BY log;

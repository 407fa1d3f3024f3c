-- Which database the questions are answered from: the last row's.
CREATE TABLE IF NOT EXISTS live_projection
(
    sequence UInt64,
    database String,
    since DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY sequence;

-- Keeps what was counted: (quarter, checkpoint, seen, counts).
INSERT INTO flow_counts (quarter, checkpoint, seen, counts)
SELECT toDateTime(row.1 * 900, 'UTC'), row.2, row.3, row.4
FROM
(
    SELECT arrayJoin({rows:Array(Tuple(Int64, String, UInt64, Array(Tuple(String, Int8, UInt32))))}) AS row
);

-- The first and last quarter of an hour that reads are kept of, and every checkpoint of them.
SELECT
    intDiv(toInt64(toUnixTimestamp(min(quarter))), 900),
    intDiv(toInt64(toUnixTimestamp(max(quarter))), 900),
    groupUniqArray(checkpoint)
FROM flow_marks;

-- The kept plates that differ from one of some plates in one character at most: another one, one
-- that is missing, or one too many.
WITH arrayMap(i -> substring('ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789', i, 1), range(1, 37)) AS characters
SELECT DISTINCT plate
FROM plates
WHERE log = {log:String} AND first_position < {before:UInt64} AND plate {global} IN
    (
        SELECT arrayJoin(arrayConcat(
            [wanted],
            arrayFlatten(arrayMap(
                i -> arrayMap(
                    c -> concat(substring(wanted, 1, i - 1), c, substring(wanted, i + 1)),
                    arrayPushBack(characters, '')),
                range(1, length(wanted) + 1))),
            arrayFlatten(arrayMap(
                i -> arrayMap(
                    c -> concat(substring(wanted, 1, i - 1), c, substring(wanted, i)),
                    characters),
                range(1, length(wanted) + 2)))))
        FROM (SELECT arrayJoin({plates:Array(String)}) AS wanted)
    );

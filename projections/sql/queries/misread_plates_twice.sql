-- The kept plates that differ from one of some plates in two characters at most, and some more: two
-- plates that do have what is left in common when up to two characters are taken out of each.
WITH arrayDistinct(arrayFlatten(arrayMap(
    wanted -> arrayFlatten(arrayMap(
        i -> arrayMap(
            j -> concat(substring(wanted, 1, i - 1), substring(wanted, i + 1, j - i - 1), substring(wanted, j + 1)),
            range(i + 1, length(wanted) + 3)),
        range(1, length(wanted) + 2))),
    {plates:Array(String)}))) AS rests
SELECT DISTINCT plate
FROM
(
    SELECT plate, arrayJoin(arrayDistinct(arrayFlatten(arrayMap(
        i -> arrayMap(
            j -> concat(substring(plate, 1, i - 1), substring(plate, i + 1, j - i - 1), substring(plate, j + 1)),
            range(i + 1, length(plate) + 3)),
        range(1, length(plate) + 2))))) AS rest
    FROM plates
    WHERE log = {log:String} AND first_position < {before:UInt64}
)
WHERE rest {global} IN (SELECT arrayJoin(rests));

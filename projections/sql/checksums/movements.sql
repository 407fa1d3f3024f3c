-- The order within a set is not part of it.
SELECT
    count() AS `rows`,
    sum(cityHash64(t.plate)) AS plate,
    sum(cityHash64(t.plate, t.day)) AS day,
    sum(cityHash64(t.plate, t.day, t.set)) AS reads
FROM
(
    SELECT plate, day, arraySort(groupUniqArrayMerge(reads)) AS set
    FROM movements
    GROUP BY plate, day
) AS t;

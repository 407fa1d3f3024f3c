-- The order within a set is not part of it.
SELECT
    count() AS `rows`,
    sum(cityHash64(plate)) AS plate,
    sum(cityHash64(plate, day)) AS day,
    sum(cityHash64(plate, day, set)) AS reads
FROM
(
    SELECT plate, day, arraySort(groupUniqArrayMerge(reads)) AS set
    FROM movements
    GROUP BY plate, day
);

SELECT
    count() AS `rows`,
    sum(cityHash64(t.quarter)) AS quarter,
    sum(cityHash64(t.quarter, t.checkpoint)) AS checkpoint,
    sum(cityHash64(t.quarter, t.checkpoint, t.log)) AS log,
    sum(cityHash64(t.quarter, t.checkpoint, t.log, t.last_position)) AS last_position
FROM (SELECT * FROM flow_marks FINAL) AS t;

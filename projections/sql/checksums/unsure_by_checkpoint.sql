SELECT
    count() AS `rows`,
    sum(cityHash64(t.log, t.position, t.checkpoint)) AS checkpoint,
    sum(cityHash64(t.log, t.position, t.slot)) AS slot,
    sum(cityHash64(t.log, t.position, t.captured_at)) AS captured_at,
    sum(cityHash64(t.log, t.position, t.plate)) AS plate,
    sum(cityHash64(t.log, t.position, t.lane)) AS lane,
    sum(cityHash64(t.log, t.position, t.direction)) AS direction,
    sum(cityHash64(t.log, t.position, t.confidence)) AS confidence,
    sum(cityHash64(t.log)) AS log,
    sum(cityHash64(t.position)) AS position
FROM (SELECT * FROM unsure_by_checkpoint FINAL) AS t;

SELECT
    count() AS `rows`,
    sum(cityHash64(log, position, checkpoint)) AS checkpoint,
    sum(cityHash64(log, position, captured_at)) AS captured_at,
    sum(cityHash64(log, position, plate)) AS plate,
    sum(cityHash64(log, position, lane)) AS lane,
    sum(cityHash64(log, position, direction)) AS direction,
    sum(cityHash64(log, position, confidence)) AS confidence,
    sum(cityHash64(log)) AS log,
    sum(cityHash64(position)) AS position
FROM (SELECT * FROM sightings_by_checkpoint FINAL);

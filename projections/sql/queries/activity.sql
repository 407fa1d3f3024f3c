-- What share of all reads each of some plates has. A read that was applied twice may count twice
-- until its parts are merged.
SELECT plate, count() / (SELECT greatest(count(), 1) FROM sightings_by_checkpoint)
FROM sightings
WHERE plate IN {plates:Array(String)}
GROUP BY plate;

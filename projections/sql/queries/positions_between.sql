-- The positions of the sightings in a stretch of the log.
SELECT DISTINCT position FROM sightings
WHERE log = {log:String} AND position > {after:UInt64} AND position <= {upto:UInt64};

-- When the latest read of all was captured; 1970 where there is none.
SELECT toUnixTimestamp64Micro(max(captured_at)) FROM sightings_by_checkpoint;

-- Where the checkpoints stand; 0, 0 is what an import leaves that does not say.
SELECT code, latitude, longitude FROM checkpoints FINAL WHERE latitude != 0 OR longitude != 0 ORDER BY code;

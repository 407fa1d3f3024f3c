-- Parts that are a day old become one a month: every part costs a question its own look at the index.
-- The month that goes on is written anew once a day, those before it when something came late.
ALTER TABLE sightings{_local} {on_cluster} MODIFY SETTING min_age_to_force_merge_seconds = 86400;
ALTER TABLE sightings_by_checkpoint{_local} {on_cluster} MODIFY SETTING min_age_to_force_merge_seconds = 86400;
ALTER TABLE movements{_local} {on_cluster} MODIFY SETTING min_age_to_force_merge_seconds = 86400;
ALTER TABLE unsure_reads{_local} {on_cluster} MODIFY SETTING min_age_to_force_merge_seconds = 86400;
ALTER TABLE unsure_by_checkpoint{_local} {on_cluster} MODIFY SETTING min_age_to_force_merge_seconds = 86400;

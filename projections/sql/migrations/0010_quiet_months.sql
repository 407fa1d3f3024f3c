-- A month to which nothing has come for a day becomes one part, so that a question over years looks
-- into one part a month, and not into as many as were left when it ended.
ALTER TABLE sightings{_local} {on_cluster} MODIFY SETTING
    min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;
ALTER TABLE sightings_by_checkpoint{_local} {on_cluster} MODIFY SETTING
    min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;
ALTER TABLE movements{_local} {on_cluster} MODIFY SETTING
    min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;
ALTER TABLE unsure_reads{_local} {on_cluster} MODIFY SETTING
    min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;
ALTER TABLE unsure_by_checkpoint{_local} {on_cluster} MODIFY SETTING
    min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1;

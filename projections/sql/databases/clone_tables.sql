-- Each copy shares the parts of its original: no data is copied.
CREATE TABLE {copy:Identifier}.sightings CLONE AS sightings;
CREATE TABLE {copy:Identifier}.sightings_by_checkpoint CLONE AS sightings_by_checkpoint;
CREATE TABLE {copy:Identifier}.unsure_reads CLONE AS unsure_reads;
CREATE TABLE {copy:Identifier}.unsure_by_checkpoint CLONE AS unsure_by_checkpoint;
CREATE TABLE {copy:Identifier}.plates CLONE AS plates;
CREATE TABLE {copy:Identifier}.flow_marks CLONE AS flow_marks;
CREATE TABLE {copy:Identifier}.flow_counts CLONE AS flow_counts;
CREATE TABLE {copy:Identifier}.movements CLONE AS movements;
CREATE TABLE {copy:Identifier}.hotlist_matches CLONE AS hotlist_matches;
CREATE TABLE {copy:Identifier}.hotlist_match_states CLONE AS hotlist_match_states;
CREATE TABLE {copy:Identifier}.checkpoints CLONE AS checkpoints;
CREATE TABLE {copy:Identifier}.checkpoint_zones CLONE AS checkpoint_zones;

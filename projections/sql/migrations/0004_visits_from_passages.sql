-- Visits are made of passages where the question is answered: a misread opens and closes none.
DROP VIEW IF EXISTS visits {on_cluster};
DROP VIEW IF EXISTS passages {on_cluster};
DROP VIEW IF EXISTS timelines {on_cluster};

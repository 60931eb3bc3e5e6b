-- A sale's orders may lie in several databases: shard s in database s mod `databases`. Each database knows its
-- own place among them, so that another number or order of them is refused.

ALTER TABLE sales ADD COLUMN databases BIGINT NOT NULL DEFAULT 1;
ALTER TABLE sales ADD COLUMN database_ix BIGINT NOT NULL DEFAULT 0;
-- Whether all of them were entered: an empty one is a lost one from then on.
ALTER TABLE sales ADD COLUMN complete BIGINT NOT NULL DEFAULT 0;

-- What was changed of the sale while it runs, as the worker has taken it: JSON, and its revision.

ALTER TABLE sales ADD COLUMN amended TEXT NOT NULL DEFAULT '';
ALTER TABLE sales ADD COLUMN amended_revision BIGINT NOT NULL DEFAULT 0;

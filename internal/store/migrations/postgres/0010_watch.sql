-- +goose Up

-- A narrowing that is being tried on a key, and what the key was before its latest one. Both are sealed with the row.
alter table credentials add column watch text not null default '';
alter table credentials add column undo text not null default '';

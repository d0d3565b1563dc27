-- +goose Up

-- The newest schema that a node knows, so that none newer is made which it can't work with.
alter table leases add column schema integer not null default 0;

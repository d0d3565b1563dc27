-- +goose Up

-- The newest schema that a node knows, so that none newer is made which it can't work with.
alter table leases add column schema bigint not null default 0;

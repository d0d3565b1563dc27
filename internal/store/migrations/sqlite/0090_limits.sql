-- +goose Up
-- works with: 85

-- How a node holds the limits of keys, and since when; empty where it doesn't say.
alter table leases add column limits text not null default '';
alter table leases add column limits_since integer not null default 0;

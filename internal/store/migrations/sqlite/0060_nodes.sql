-- What a node says of itself beside its lease, for people and for other versions.
alter table leases add column name text not null default '';
alter table leases add column version text not null default '';
alter table leases add column protocol integer not null default 0;
alter table leases add column address text not null default '';
alter table leases add column clock_offset integer not null default 0;

-- Who does what is done once in a cluster.
create table leaders (
  work text not null primary key,
  node text not null,
  until integer not null
) strict;

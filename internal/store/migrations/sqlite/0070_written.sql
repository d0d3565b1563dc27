-- +goose Up

-- How far the calls that each node let in are in the log of activity.
create table written_marks (
  spool text not null primary key,
  node text not null,
  until integer not null,
  at integer not null
) strict;

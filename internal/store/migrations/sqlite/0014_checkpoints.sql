-- +goose Up
create table audit_checkpoints (
  number integer not null primary key,
  size integer not null unique,
  at integer not null,
  root blob not null,
  note text not null
) strict;
insert into heads (name, n) values ('audit_checkpoints', 0);

-- +goose Up
create table audit_checkpoints (
  number bigint not null primary key,
  size bigint not null unique,
  at bigint not null,
  root bytea not null,
  note text not null
);
insert into heads (name, n) values ('audit_checkpoints', 0);

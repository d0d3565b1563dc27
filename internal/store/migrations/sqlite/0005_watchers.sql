-- +goose Up

-- Keys that nobody should ever use.
alter table credentials add column canary integer not null default 0 check (canary in (0, 1));

-- How the rotations end that don't simply end at their deadline.
create table rotations (
  key_id text not null primary key,
  account_id text not null,
  generation integer not null,
  ends text not null,
  began_at integer not null,
  deadline integer not null,
  latest integer not null,
  idle integer not null,
  asked_at integer not null,
  mac blob not null,
  mac_pepper integer not null
) strict;
create index rotations_account on rotations (account_id, key_id);

-- Which tripwire of which key was touched last, and when: that is told of once in a while.
create table tripwire_marks (
  key_id text not null,
  kind text not null,
  at integer not null,
  primary key (key_id, kind)
) strict;

create table tripwires (
  id text not null primary key,
  account_id text not null references accounts (id),
  key_id text not null,
  name text not null,
  kind text not null,
  at integer not null,
  generation integer not null,
  ip text not null,
  user_agent text not null,
  words text not null,
  paused integer not null check (paused in (0, 1))
) strict;
create index tripwires_page on tripwires (account_id, at, id);
create index tripwires_key on tripwires (account_id, key_id, at, id);
create index tripwires_age on tripwires (at);

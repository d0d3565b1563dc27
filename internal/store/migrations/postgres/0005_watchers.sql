-- +goose Up

-- Keys that nobody should ever use.
alter table credentials add column canary smallint not null default 0 check (canary in (0, 1));

-- How the rotations end that don't simply end at their deadline.
create table rotations (
  key_id text not null primary key,
  account_id text not null,
  generation bigint not null,
  ends text not null,
  began_at bigint not null,
  deadline bigint not null,
  latest bigint not null,
  idle bigint not null,
  asked_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);
create index rotations_account on rotations (account_id, key_id);

-- Which tripwire of which key was touched last, and when: that is told of once in a while.
create table tripwire_marks (
  key_id text not null,
  kind text not null,
  at bigint not null,
  primary key (key_id, kind)
);

create table tripwires (
  id text not null primary key,
  account_id text not null references accounts (id),
  key_id text not null,
  name text not null,
  kind text not null,
  at bigint not null,
  generation bigint not null,
  ip text not null,
  user_agent text not null,
  words text not null,
  paused smallint not null check (paused in (0, 1))
);
create index tripwires_page on tripwires (account_id, at, id);
create index tripwires_key on tripwires (account_id, key_id, at, id);
create index tripwires_age on tripwires (at);

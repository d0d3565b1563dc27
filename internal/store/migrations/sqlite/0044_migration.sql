-- +goose Up

-- What becomes of each old credential: what was found out, decided and done about it.
create table migration_items (
  id text not null primary key,
  account_id text not null references accounts (id),
  key_id text not null,
  fingerprint text not null,
  new_key text not null,
  open integer not null,
  body text not null,
  created_at integer not null,
  revision integer not null,
  mac blob not null,
  mac_pepper integer not null
) strict;
create unique index migration_items_key on migration_items (key_id) where key_id <> '';
create unique index migration_items_fingerprint on migration_items (account_id, fingerprint) where fingerprint <> '';
create index migration_items_open on migration_items (account_id, open, id);

-- Which scopes of today an old name stands for, where the operator says so.
create table legacy_scopes (
  name text not null primary key,
  scopes text not null,
  changed_at integer not null
) strict;

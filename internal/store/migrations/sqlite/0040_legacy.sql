-- +goose Up

-- What only an imported credential has, sealed with its row: when it is to stop, and a slow hash until its first use.
alter table credentials add column retiring text not null default '';

-- An imported credential is found by its hash, so no two may have the same.
create unique index credentials_legacy on credentials (current_hash) where kind in ('legacy_private_app', 'legacy_api_key');

-- What is shown of imported credentials; what they may do is in credentials.
create table legacy_credentials (
  key_id text not null primary key references credentials (key_id),
  account_id text not null references accounts (id),
  name text not null,
  note text not null,
  shown text not null,
  strength text not null,
  slow text not null,
  import_id text not null,
  mark blob,
  finger text not null,
  sunset_at integer not null,
  ended_at integer not null,
  ended_why text not null,
  in_address_at integer not null,
  made_by text not null,
  created_at integer not null,
  updated_at integer not null
) strict;
-- What it was imported as, where that is a slow hash; a fast one is in its credential.
create unique index legacy_credentials_mark on legacy_credentials (mark) where mark is not null;
create index legacy_credentials_page on legacy_credentials (account_id, created_at, key_id);
create index legacy_credentials_finger on legacy_credentials (finger) where finger <> '';
create index legacy_credentials_sunset on legacy_credentials (account_id, sunset_at) where sunset_at <> 0 and ended_at = 0;

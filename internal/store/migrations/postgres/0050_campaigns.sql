-- +goose Up

-- Rotations of many keys by a date.
create table campaigns (
  id text not null primary key,
  account_id text not null references accounts (id),
  name text not null,
  words text not null,
  chosen_by text not null,
  made_by text not null,
  deadline bigint not null,
  created_at bigint not null,
  closed_at bigint not null,
  closed_by text not null,
  told bigint not null,
  key_count bigint not null,
  revision bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);
create index campaigns_page on campaigns (account_id, created_at, id);
create index campaigns_open on campaigns (closed_at, id);

-- The keys of each, and the secret that is to be replaced.
create table campaign_keys (
  campaign_id text not null,
  key_id text not null,
  account_id text not null,
  name text not null,
  generation bigint not null,
  mac bytea not null,
  mac_pepper bigint not null,
  primary key (campaign_id, key_id)
);
create index campaign_keys_key on campaign_keys (account_id, key_id);

-- +goose Up
create table settings (
  name text not null primary key,
  value text not null
) strict;

create table heads (
  name text not null primary key,
  n integer not null
) strict;
insert into heads (name, n) values ('feed', 0), ('audit', 0), ('epoch', 1), ('account_number', 4241), ('writer', 0);

create table accounts (
  id text not null primary key,
  number integer not null unique,
  name text not null,
  time_zone text not null,
  operator integer not null check (operator in (0, 1)),
  suspended_at integer not null,
  daily_limit integer not null,
  created_at integer not null,
  revision integer not null,
  mac blob not null,
  mac_pepper integer not null
) strict;

create table roles (
  id text not null primary key,
  account_id text not null references accounts (id),
  name text not null,
  words text not null,
  permissions text not null,
  grants text not null,
  created_at integer not null,
  revision integer not null,
  mac blob not null,
  mac_pepper integer not null,
  unique (account_id, name)
) strict;

create table members (
  id text not null primary key,
  account_id text not null references accounts (id),
  email text not null,
  name text not null,
  role_id text not null,
  scopes text,
  created_at integer not null,
  removed_at integer not null,
  revision integer not null,
  mac blob not null,
  mac_pepper integer not null
) strict;
create unique index members_email on members (account_id, email) where removed_at = 0;
create index members_role on members (role_id);

create table teams (
  id text not null primary key,
  account_id text not null references accounts (id),
  name text not null,
  created_at integer not null,
  unique (account_id, name)
) strict;

create table team_members (
  team_id text not null references teams (id),
  member_id text not null references members (id),
  primary key (team_id, member_id)
) strict;

create table credentials (
  key_id text not null primary key,
  account_id text not null references accounts (id),
  kind text not null,
  member_id text not null,
  scopes text not null,
  all_scopes integer not null check (all_scopes in (0, 1)),
  networks text not null,
  current_hash blob not null,
  current_pepper integer not null,
  current_generation integer not null,
  current_last_four text not null,
  previous_hash blob not null,
  previous_pepper integer not null,
  previous_generation integer not null,
  previous_last_four text not null,
  previous_until integer not null,
  previous_ended integer not null check (previous_ended in (0, 1)),
  not_before integer not null,
  expires_at integer not null,
  paused_at integer not null,
  revoked_at integer not null,
  deleted_at integer not null,
  rate_calls integer not null,
  rate_per integer not null,
  revision integer not null,
  mac blob not null,
  mac_pepper integer not null
) strict;
create index credentials_member on credentials (member_id) where member_id <> '';

create table service_keys (
  key_id text not null primary key references credentials (key_id),
  account_id text not null references accounts (id),
  name text not null,
  description text not null,
  team_id text not null,
  ended_at integer not null,
  deleted_at integer not null,
  revoked_why text not null,
  current_made_at integer not null,
  current_made_by text not null,
  previous_made_at integer not null,
  previous_made_by text not null,
  flagged_at integer not null,
  flagged_why text not null,
  made_by text not null,
  created_at integer not null,
  updated_at integer not null
) strict;
create unique index service_keys_name on service_keys (account_id, name) where ended_at = 0;
create index service_keys_page on service_keys (account_id, created_at, key_id) where deleted_at = 0;
create index service_keys_maker on service_keys (account_id, made_by) where ended_at = 0;

create table personal_keys (
  key_id text not null primary key references credentials (key_id),
  account_id text not null references accounts (id),
  member_id text not null references members (id),
  name text not null,
  created_at integer not null
) strict;
create index personal_keys_page on personal_keys (account_id, member_id, created_at, key_id);

create table single_use (
  id text not null primary key,
  purpose text not null,
  account_id text not null,
  member_id text not null,
  hash blob not null,
  pepper integer not null,
  created_at integer not null,
  expires_at integer not null,
  used_at integer not null,
  mac blob not null,
  mac_pepper integer not null
) strict;
create index single_use_member on single_use (member_id);

create table idempotency (
  account_id text not null,
  actor text not null,
  name text not null,
  request blob not null,
  object text not null,
  generation integer not null,
  created_at integer not null,
  primary key (account_id, actor, name)
) strict;
create index idempotency_age on idempotency (created_at);

create table catalogs (
  upstream_id text not null,
  version integer not null,
  title text not null,
  digest text not null,
  body text not null,
  loaded_by text not null,
  loaded_at integer not null,
  mac blob not null,
  mac_pepper integer not null,
  primary key (upstream_id, version)
) strict;

create table upstreams (
  id text not null primary key,
  name text not null,
  url text not null,
  host text not null,
  prefix text not null,
  options text not null,
  catalog_version integer not null,
  created_at integer not null,
  revision integer not null,
  mac blob not null,
  mac_pepper integer not null
) strict;

create table audit_entries (
  seq integer not null primary key,
  at integer not null,
  account_id text not null,
  actor text not null,
  action text not null,
  object text not null,
  result text not null,
  body text not null
) strict;
create index audit_entries_account on audit_entries (account_id, seq);
create index audit_entries_object on audit_entries (account_id, object, seq);

create table audit_hashes (
  n integer not null primary key,
  hash blob not null
) strict;

create table feed (
  seq integer not null primary key,
  at integer not null,
  kind text not null,
  account_id text not null,
  ref text not null
) strict;

create table leases (
  node text not null primary key,
  started_at integer not null,
  until integer not null,
  confirmed integer not null
) strict;
create index feed_ref on feed (ref, seq);

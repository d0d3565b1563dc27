-- +goose Up
create table settings (
  name text not null primary key,
  value text not null
);

create table heads (
  name text not null primary key,
  n bigint not null
);
insert into heads (name, n) values ('feed', 0), ('audit', 0), ('epoch', 1), ('account_number', 4241), ('writer', 0);

create table accounts (
  id text not null primary key,
  number bigint not null unique,
  name text not null,
  time_zone text not null,
  operator bigint not null check (operator in (0, 1)),
  suspended_at bigint not null,
  daily_limit bigint not null,
  created_at bigint not null,
  revision bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);

create table roles (
  id text not null primary key,
  account_id text not null references accounts (id),
  name text not null,
  words text not null,
  permissions text not null,
  grants text not null,
  created_at bigint not null,
  revision bigint not null,
  mac bytea not null,
  mac_pepper bigint not null,
  unique (account_id, name)
);

create table members (
  id text not null primary key,
  account_id text not null references accounts (id),
  email text not null,
  name text not null,
  role_id text not null,
  scopes text,
  created_at bigint not null,
  removed_at bigint not null,
  revision bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);
create unique index members_email on members (account_id, email) where removed_at = 0;
create index members_role on members (role_id);

create table teams (
  id text not null primary key,
  account_id text not null references accounts (id),
  name text not null,
  created_at bigint not null,
  unique (account_id, name)
);

create table team_members (
  team_id text not null references teams (id),
  member_id text not null references members (id),
  primary key (team_id, member_id)
);

create table credentials (
  key_id text not null primary key,
  account_id text not null references accounts (id),
  kind text not null,
  member_id text not null,
  scopes text not null,
  all_scopes bigint not null check (all_scopes in (0, 1)),
  networks text not null,
  current_hash bytea not null,
  current_pepper bigint not null,
  current_generation bigint not null,
  current_last_four text not null,
  previous_hash bytea not null,
  previous_pepper bigint not null,
  previous_generation bigint not null,
  previous_last_four text not null,
  previous_until bigint not null,
  previous_ended smallint not null check (previous_ended in (0, 1)),
  not_before bigint not null,
  expires_at bigint not null,
  paused_at bigint not null,
  revoked_at bigint not null,
  deleted_at bigint not null,
  rate_calls bigint not null,
  rate_per bigint not null,
  revision bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);
create index credentials_member on credentials (member_id) where member_id <> '';

create table service_keys (
  key_id text not null primary key references credentials (key_id),
  account_id text not null references accounts (id),
  name text not null,
  description text not null,
  team_id text not null,
  ended_at bigint not null,
  deleted_at bigint not null,
  revoked_why text not null,
  current_made_at bigint not null,
  current_made_by text not null,
  previous_made_at bigint not null,
  previous_made_by text not null,
  flagged_at bigint not null,
  flagged_why text not null,
  made_by text not null,
  created_at bigint not null,
  updated_at bigint not null
);
create unique index service_keys_name on service_keys (account_id, name) where ended_at = 0;
create index service_keys_page on service_keys (account_id, created_at, key_id) where deleted_at = 0;
create index service_keys_maker on service_keys (account_id, made_by) where ended_at = 0;

create table personal_keys (
  key_id text not null primary key references credentials (key_id),
  account_id text not null references accounts (id),
  member_id text not null references members (id),
  name text not null,
  created_at bigint not null
);
create index personal_keys_page on personal_keys (account_id, member_id, created_at, key_id);

create table single_use (
  id text not null primary key,
  purpose text not null,
  account_id text not null,
  member_id text not null,
  hash bytea not null,
  pepper bigint not null,
  created_at bigint not null,
  expires_at bigint not null,
  used_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);
create index single_use_member on single_use (member_id);

create table idempotency (
  account_id text not null,
  actor text not null,
  name text not null,
  request bytea not null,
  object text not null,
  generation bigint not null,
  created_at bigint not null,
  primary key (account_id, actor, name)
);
create index idempotency_age on idempotency (created_at);

create table catalogs (
  upstream_id text not null,
  version bigint not null,
  title text not null,
  digest text not null,
  body text not null,
  loaded_by text not null,
  loaded_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null,
  primary key (upstream_id, version)
);

create table upstreams (
  id text not null primary key,
  name text not null,
  url text not null,
  host text not null,
  prefix text not null,
  options text not null,
  catalog_version bigint not null,
  created_at bigint not null,
  revision bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);

create table audit_entries (
  seq bigint not null primary key,
  at bigint not null,
  account_id text not null,
  actor text not null,
  action text not null,
  object text not null,
  result text not null,
  body text not null
);
create index audit_entries_account on audit_entries (account_id, seq);
create index audit_entries_object on audit_entries (account_id, object, seq);

create table audit_hashes (
  n bigint not null primary key,
  hash bytea not null
);

create table feed (
  seq bigint not null primary key,
  at bigint not null,
  kind text not null,
  account_id text not null,
  ref text not null
);

create table leases (
  node text not null primary key,
  started_at bigint not null,
  until bigint not null,
  confirmed bigint not null
);
create index feed_ref on feed (ref, seq);

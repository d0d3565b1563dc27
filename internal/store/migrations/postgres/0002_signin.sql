-- +goose Up
create index members_address on members (email) where removed_at = 0;

create table sessions (
  id text not null primary key,
  hash bytea not null unique,
  pepper bigint not null,
  account_id text not null,
  member_id text not null references members (id),
  method text not null,
  ip text not null,
  user_agent text not null,
  created_at bigint not null,
  seen_at bigint not null,
  proved_at bigint not null,
  expires_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);
create index sessions_member on sessions (member_id, created_at, id);
create index sessions_age on sessions (expires_at);

create table passwords (
  member_id text not null primary key references members (id),
  hash text not null,
  length bigint not null,
  changed_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);

create table totps (
  member_id text not null primary key references members (id),
  secret bytea not null,
  pepper bigint not null,
  last_step bigint not null,
  created_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);

create table passkeys (
  id text not null primary key,
  member_id text not null references members (id),
  name text not null,
  body text not null,
  created_at bigint not null,
  used_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);
create index passkeys_member on passkeys (member_id, created_at, id);

create table recovery_codes (
  member_id text not null references members (id),
  hash bytea not null,
  pepper bigint not null,
  created_at bigint not null,
  used_at bigint not null,
  primary key (member_id, hash)
);

create table identities (
  issuer text not null,
  subject text not null,
  account_id text not null,
  member_id text not null references members (id),
  created_at bigint not null,
  used_at bigint not null,
  mac bytea not null,
  mac_pepper bigint not null,
  primary key (account_id, issuer, subject)
);
create index identities_member on identities (member_id);

create table signins (
  id text not null primary key,
  account_id text not null,
  member_id text not null references members (id),
  at bigint not null,
  method text not null,
  result text not null,
  reason text not null,
  ip text not null,
  user_agent text not null
);
create index signins_member on signins (member_id, at, id);
create index signins_age on signins (at);

create table signin_guards (
  member_id text not null references members (id),
  device text not null,
  failures bigint not null,
  failed_at bigint not null,
  retry_at bigint not null,
  primary key (member_id, device)
);

create table spent_flows (
  id text not null primary key,
  expires_at bigint not null
);
create index spent_flows_age on spent_flows (expires_at);

create table preferences (
  member_id text not null references members (id),
  name text not null,
  value text not null,
  primary key (member_id, name)
);

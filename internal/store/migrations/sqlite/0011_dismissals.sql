-- +goose Up

-- Advice on a key that someone put aside, and which fix it was.
create table advice_dismissals (
  account_id text not null references accounts (id),
  key_id text not null references credentials (key_id),
  kind text not null,
  what text not null,
  dismissed_by text not null,
  dismissed_at integer not null,
  primary key (key_id, kind)
) strict;
create index advice_dismissals_account on advice_dismissals (account_id, key_id);

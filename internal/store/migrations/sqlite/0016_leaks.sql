-- +goose Up

-- Where secrets were found: which one it was, never the secret.
create table leak_reports (
  id text not null primary key,
  account_id text not null references accounts (id),
  key_id text not null references credentials (key_id),
  generation integer not null,
  last_four text not null,
  source text not null,
  url text not null,
  did text not null,
  at integer not null,
  unique (key_id, generation, source, url)
) strict;
create index leak_reports_page on leak_reports (account_id, at, id);

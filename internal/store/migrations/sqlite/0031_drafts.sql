-- +goose Up

-- What someone typed in a form of several steps, sealed, for one session and a short while.
create table drafts (
  session_id text not null,
  id text not null,
  body text not null,
  changed_at integer not null,
  expires_at integer not null,
  primary key (session_id, id)
) strict;
create index drafts_over on drafts (expires_at);

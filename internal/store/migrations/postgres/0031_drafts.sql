-- +goose Up

-- What someone typed in a form of several steps, sealed, for one session and a short while.
create table drafts (
  session_id text not null,
  id text not null,
  body text not null,
  changed_at bigint not null,
  expires_at bigint not null,
  primary key (session_id, id)
);
create index drafts_over on drafts (expires_at);

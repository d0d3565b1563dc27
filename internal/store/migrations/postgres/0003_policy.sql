-- +goose Up
create table policies (
  account_id text not null primary key references accounts (id),
  body text not null,
  changed_by text not null,
  changed_at bigint not null,
  revision bigint not null,
  mac bytea not null,
  mac_pepper bigint not null
);

create table notifications (
  id text not null primary key,
  account_id text not null references accounts (id),
  member_id text not null references members (id),
  audience text not null,
  kind text not null,
  subject text not null,
  words text not null,
  link text not null,
  dedupe text not null,
  made_at bigint not null,
  read_at bigint not null,
  mail_at bigint not null,
  mail_tries bigint not null,
  mailed_at bigint not null,
  mail_error text not null,
  unique (member_id, dedupe)
);
create index notifications_page on notifications (member_id, made_at, id);
create index notifications_unread on notifications (member_id) where read_at = 0;
create index notifications_mail on notifications (mail_at, id) where mail_at > 0;
create index notifications_age on notifications (made_at);

-- +goose Up

-- One row. Its lock orders the batches of all nodes, so numbers are given out in the order of commits.
create table activity_head (
	id  bigint primary key check (id = 1),
	seq bigint not null
);
insert into activity_head (id, seq) values (1, 0);

-- The last batch of each process: a batch whose commit got lost on the way is not written twice.
create table activity_writers (
	writer text primary key,
	batch  bigint not null,
	at     bigint not null
);
create index activity_writers_at on activity_writers (at);

-- The calls of recognized credentials, in blocks. A block holds calls of one account and one hour, in the order
-- of their numbers; between its first and its last number there is no call of the account that isn't in it.
create table activity_blocks (
	seq        bigint not null, -- of its last call
	first_seq  bigint not null,
	account_id text not null check (account_id <> ''),
	first_at   bigint not null,
	last_at    bigint not null,
	calls      bigint not null check (calls > 0),
	data       bytea not null,
	primary key (seq, last_at)
) partition by range (last_at);
alter table activity_blocks alter data set storage external; -- it is packed already
create index activity_blocks_account on activity_blocks (account_id, last_at, seq, first_at);
create index activity_blocks_seq on activity_blocks (account_id, seq);
create index activity_blocks_at on activity_blocks (last_at);

-- Which blocks hold calls of a key, and of when the first and the last of them are.
create table activity_block_keys (
	account_id text not null,
	key_id     text not null,
	last_at    bigint not null,
	seq        bigint not null, -- of the block
	first_at   bigint not null,
	primary key (account_id, key_id, last_at, seq)
) partition by range (last_at);

-- Calls by hour.
create table activity_hours (
	account_id   text not null,
	key_id       text not null,
	hour         bigint not null,
	generation   bigint not null,
	upstream     text not null,
	operation    text not null,
	scopes       text not null default '', -- what was needed: what let the call through, or what it lacked
	allowed      bigint not null check (allowed in (0, 1)),
	reason       text not null,
	status       bigint not null,
	calls        bigint not null,
	errors       bigint not null,
	duration     bigint not null,
	max_duration bigint not null,
	bytes_in     bigint not null,
	bytes_out    bigint not null,
	primary key (account_id, key_id, hour, generation, upstream, operation, scopes, allowed, reason, status)
);
create index activity_hours_account on activity_hours (account_id, hour);
create index activity_hours_hour on activity_hours (hour);

-- The first and the latest allowed call of each secret.
create table activity_uses (
	account_id text not null,
	key_id     text not null,
	generation bigint not null,
	first_at   bigint not null,
	at         bigint not null,
	ip         text not null,
	user_agent text not null,
	upstream   text not null,
	operation  text not null,
	calls      bigint not null,
	primary key (account_id, key_id, generation)
);
create index activity_uses_account on activity_uses (account_id, at, key_id);
create index activity_uses_at on activity_uses (at);

-- The first and the latest call of each key that needed a scope: allowed ones that it let through, and refused
-- ones that lacked it.
create table activity_scopes (
	account_id text not null,
	key_id     text not null,
	scope      text not null,
	allowed    bigint not null check (allowed in (0, 1)),
	first_at   bigint not null,
	at         bigint not null,
	generation bigint not null,
	ip         text not null,
	user_agent text not null,
	upstream   text not null,
	operation  text not null,
	calls      bigint not null,
	primary key (account_id, key_id, scope, allowed)
);
create index activity_scopes_at on activity_scopes (at);

-- Who calls with each secret, by hour. Address and user agent are empty for those beyond the bound.
create table activity_callers (
	account_id text not null,
	key_id     text not null,
	hour       bigint not null,
	generation bigint not null,
	ip         text not null,
	user_agent text not null,
	first_at   bigint not null,
	last_at    bigint not null,
	calls      bigint not null,
	refused    bigint not null,
	primary key (account_id, key_id, hour, generation, ip, user_agent)
);
create index activity_callers_hour on activity_callers (hour);

-- What counts towards an account's daily limit.
create table activity_days (
	account_id text not null,
	day_start  bigint not null,
	calls      bigint not null,
	primary key (account_id, day_start)
);
create index activity_days_start on activity_days (day_start);

-- Calls that belong to no account, by network. The network is empty for those beyond the bound.
create table activity_strangers (
	hour    bigint not null,
	network text not null,
	reason  text not null,
	door    text not null,
	calls   bigint not null,
	last_at bigint not null,
	primary key (hour, network, reason, door)
);

-- Calls that could not be recorded, by the reason of their decision.
create table activity_losses (
	hour   bigint not null,
	reason text not null,
	calls  bigint not null,
	primary key (hour, reason)
);

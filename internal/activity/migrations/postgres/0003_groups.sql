-- +goose Up

-- A signature has more bits now: spans are made anew, of the blocks that are there.
delete from activity_spans;
delete from activity_span_bits;

-- Spans that follow each other, whose bits lie together: a question about a long time then reads few rows.
create table activity_groups (
	account_id text not null,
	last_seq   bigint not null, -- of the last span
	first_at   bigint not null,
	last_at    bigint not null,
	state      bigint not null, -- 0: its bits are being put together; 1: it is in use; 2: its spans' own bits are gone; 3: it is being removed
	spans      bytea not null,
	primary key (account_id, last_seq)
);

-- For each bit of a signature, the blocks of a group that have it. What no block has isn't stored.
create table activity_group_bits (
	account_id text not null,
	bit        bigint not null,
	last_seq   bigint not null, -- of the group
	blocks     bytea not null,
	primary key (account_id, bit, last_seq)
);
alter table activity_group_bits alter blocks set storage plain; -- short enough for a row
alter table activity_span_bits alter bits set storage plain;

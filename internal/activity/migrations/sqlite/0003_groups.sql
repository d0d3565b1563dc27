-- +goose Up

-- A signature has more bits now: spans are made anew, of the blocks that are there.
delete from activity_spans;
delete from activity_span_bits;

-- Spans that follow each other, whose bits lie together: a question about a long time then reads few rows.
create table activity_groups (
	account_id text not null,
	last_seq   integer not null, -- of the last span
	first_at   integer not null,
	last_at    integer not null,
	state      integer not null, -- 0: its bits are being put together; 1: it is in use; 2: its spans' own bits are gone; 3: it is being removed
	spans      blob not null,
	primary key (account_id, last_seq)
) strict, without rowid;

-- For each bit of a signature, the blocks of a group that have it. What no block has isn't stored.
create table activity_group_bits (
	account_id text not null,
	bit        integer not null,
	last_seq   integer not null, -- of the group
	blocks     blob not null,
	primary key (account_id, bit, last_seq)
) strict, without rowid;

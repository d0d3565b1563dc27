-- +goose Up

-- What finds calls that few filters let through, without reading every block: spans of blocks of an account that
-- follow each other and are never merged again, with where each of their blocks is.
create table activity_spans (
	account_id text not null,
	last_seq   bigint not null, -- of the last block
	first_seq  bigint not null, -- of the first block's first call
	first_at   bigint not null,
	last_at    bigint not null,
	places     bytea not null,
	primary key (account_id, last_seq)
);
create index activity_spans_at on activity_spans (last_at);

-- A table of bits for each span: a row for each bit of a block's signature, a column for each block. A term of a call
-- sets some bits of its block. Rows lie 32 in a chunk.
create table activity_span_bits (
	account_id text not null,
	chunk      bigint not null,
	last_seq   bigint not null,
	bits       bytea not null,
	primary key (account_id, chunk, last_seq)
);

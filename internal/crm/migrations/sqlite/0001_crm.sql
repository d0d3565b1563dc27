-- +goose Up
create table crm_accounts (
	account_id text    not null primary key,
	acct       integer not null unique, -- a short number for the account in every other table
	next_id    integer not null,
	next_kind  integer not null,
	writes     integer not null,
	seeded_at  integer,
	created_at integer not null
) strict;

create table crm_schemas (
	acct        integer not null,
	type_id     text    not null,
	name        text    not null,
	def         text    not null,
	created_at  integer not null,
	updated_at  integer not null,
	archived_at integer,
	primary key (acct, type_id)
) strict;
create unique index crm_schemas_name on crm_schemas (acct, name);

create table crm_records (
	acct        integer not null,
	type_id     text    not null,
	id          integer not null,
	rev         integer not null,
	props       text    not null,
	created_at  integer not null,
	updated_at  integer not null,
	archived_at integer,
	primary key (acct, type_id, id)
) strict;
create index crm_records_live on crm_records (acct, type_id, id) where archived_at is null;
create index crm_records_updated on crm_records (acct, type_id, updated_at, id) where archived_at is null;
create index crm_records_created on crm_records (acct, type_id, created_at, id) where archived_at is null;
create index crm_records_archived on crm_records (acct, type_id, id) where archived_at is not null;

-- What a search looks up: the values of live records, one row for each chosen option of a multiple choice.
create table crm_values (
	acct      integer not null,
	type_id   text    not null,
	property  text    not null,
	record_id integer not null,
	n         integer not null,
	word      text    not null,
	num       real,
	tokens    text    not null,
	primary key (acct, type_id, property, record_id, n)
) strict, without rowid;
create index crm_values_word on crm_values (acct, type_id, property, word, record_id);
create index crm_values_num on crm_values (acct, type_id, property, num, record_id) where num is not null;

create table crm_history (
	acct         integer not null,
	record_id    integer not null,
	property     text    not null,
	rev          integer not null,
	at           integer not null,
	value        text    not null,
	source_type  text    not null,
	source_id    text    not null,
	source_label text    not null,
	primary key (acct, record_id, property, rev)
) strict, without rowid;

-- Every association is two rows, one in each direction.
create table crm_associations (
	acct       integer not null,
	from_type  text    not null,
	from_id    integer not null,
	to_type    text    not null,
	to_id      integer not null,
	category   text    not null,
	kind       integer not null,
	created_at integer not null,
	primary key (acct, from_id, to_type, to_id, category, kind)
) strict, without rowid;

create table crm_association_kinds (
	acct      integer not null,
	category  text    not null,
	kind      integer not null,
	inverse   integer not null,
	from_type text    not null,
	to_type   text    not null,
	name      text    not null,
	label     text    not null,
	primary key (acct, from_type, to_type, category, kind)
) strict;

create table crm_properties (
	acct        integer not null,
	type_id     text    not null,
	name        text    not null,
	def         text    not null,
	created_at  integer not null,
	updated_at  integer not null,
	archived_at integer,
	primary key (acct, type_id, name)
) strict;

create table crm_property_groups (
	acct          integer not null,
	type_id       text    not null,
	name          text    not null,
	label         text    not null,
	display_order integer not null,
	archived_at   integer,
	primary key (acct, type_id, name)
) strict;

create table crm_pipelines (
	acct          integer not null,
	type_id       text    not null,
	id            text    not null,
	label         text    not null,
	display_order integer not null,
	created_at    integer not null,
	updated_at    integer not null,
	archived_at   integer,
	primary key (acct, type_id, id)
) strict;

create table crm_stages (
	acct          integer not null,
	type_id       text    not null,
	pipeline_id   text    not null,
	id            text    not null,
	label         text    not null,
	display_order integer not null,
	metadata      text    not null,
	created_at    integer not null,
	updated_at    integer not null,
	archived_at   integer,
	primary key (acct, type_id, pipeline_id, id)
) strict;

create table crm_owners (
	acct        integer not null,
	id          integer not null,
	user_id     integer not null,
	email       text    not null,
	first_name  text    not null,
	last_name   text    not null,
	teams       text    not null,
	created_at  integer not null,
	updated_at  integer not null,
	archived_at integer,
	primary key (acct, id)
) strict;

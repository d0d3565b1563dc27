-- +goose Up
create table crm_accounts (
	account_id text    not null primary key,
	acct       bigint not null unique, -- a short number for the account in every other table
	next_id    bigint not null,
	next_kind  bigint not null,
	writes     bigint not null,
	seeded_at  bigint,
	created_at bigint not null
);

create table crm_schemas (
	acct        bigint not null,
	type_id     text collate "C" not null,
	name        text collate "C" not null,
	def         text    not null,
	created_at  bigint not null,
	updated_at  bigint not null,
	archived_at bigint,
	primary key (acct, type_id)
);
create unique index crm_schemas_name on crm_schemas (acct, name);

create table crm_records (
	acct        bigint not null,
	type_id     text collate "C" not null,
	id          bigint not null,
	rev         bigint not null,
	props       text    not null,
	created_at  bigint not null,
	updated_at  bigint not null,
	archived_at bigint,
	primary key (acct, type_id, id)
);
create index crm_records_live on crm_records (acct, type_id, id) where archived_at is null;
create index crm_records_updated on crm_records (acct, type_id, updated_at, id) where archived_at is null;
create index crm_records_created on crm_records (acct, type_id, created_at, id) where archived_at is null;
create index crm_records_archived on crm_records (acct, type_id, id) where archived_at is not null;

-- What a search looks up: the values of live records, one row for each chosen option of a multiple choice.
create table crm_values (
	acct      bigint not null,
	type_id   text collate "C" not null,
	property  text collate "C" not null,
	record_id bigint not null,
	n         bigint not null,
	word      text collate "C" not null,
	num       double precision,
	tokens    text collate "C" not null,
	primary key (acct, type_id, property, record_id, n)
);
create index crm_values_word on crm_values (acct, type_id, property, word, record_id);
create index crm_values_num on crm_values (acct, type_id, property, num, record_id) where num is not null;

create table crm_history (
	acct         bigint not null,
	record_id    bigint not null,
	property     text collate "C" not null,
	rev          bigint not null,
	at           bigint not null,
	value        text    not null,
	source_type  text    not null,
	source_id    text    not null,
	source_label text    not null,
	primary key (acct, record_id, property, rev)
);

-- Every association is two rows, one in each direction.
create table crm_associations (
	acct       bigint not null,
	from_type  text collate "C" not null,
	from_id    bigint not null,
	to_type    text collate "C" not null,
	to_id      bigint not null,
	category   text collate "C" not null,
	kind       bigint not null,
	created_at bigint not null,
	primary key (acct, from_id, to_type, to_id, category, kind)
);

create table crm_association_kinds (
	acct      bigint not null,
	category  text collate "C" not null,
	kind      bigint not null,
	inverse   bigint not null,
	from_type text collate "C" not null,
	to_type   text collate "C" not null,
	name      text collate "C" not null,
	label     text    not null,
	primary key (acct, from_type, to_type, category, kind)
);

create table crm_properties (
	acct        bigint not null,
	type_id     text collate "C" not null,
	name        text collate "C" not null,
	def         text    not null,
	created_at  bigint not null,
	updated_at  bigint not null,
	archived_at bigint,
	primary key (acct, type_id, name)
);

create table crm_property_groups (
	acct          bigint not null,
	type_id       text collate "C" not null,
	name          text collate "C" not null,
	label         text    not null,
	display_order bigint not null,
	archived_at   bigint,
	primary key (acct, type_id, name)
);

create table crm_pipelines (
	acct          bigint not null,
	type_id       text collate "C" not null,
	id            text collate "C" not null,
	label         text    not null,
	display_order bigint not null,
	created_at    bigint not null,
	updated_at    bigint not null,
	archived_at   bigint,
	primary key (acct, type_id, id)
);

create table crm_stages (
	acct          bigint not null,
	type_id       text collate "C" not null,
	pipeline_id   text collate "C" not null,
	id            text collate "C" not null,
	label         text    not null,
	display_order bigint not null,
	metadata      text    not null,
	created_at    bigint not null,
	updated_at    bigint not null,
	archived_at   bigint,
	primary key (acct, type_id, pipeline_id, id)
);

create table crm_owners (
	acct        bigint not null,
	id          bigint not null,
	user_id     bigint not null,
	email       text    not null,
	first_name  text    not null,
	last_name   text    not null,
	teams       text    not null,
	created_at  bigint not null,
	updated_at  bigint not null,
	archived_at bigint,
	primary key (acct, id)
);

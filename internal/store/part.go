package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
)

// Part is a set of tables that one package keeps: on SQLite in a file of its own,
// on PostgreSQL beside the others. What copies whole databases goes by it.
type Part struct {
	Name       string // "records"
	File       string // its SQLite file in the data directory
	Migrations fs.FS
	Table      string // where the applied migrations are noted
	Relaxed    bool   // see PoolConfig
	// Prepare, where given, makes room for rows of a table before they are loaded, such as a partition.
	Prepare func(ctx context.Context, tx *sql.Tx, e Engine, table string, columns []string, rows [][]any) error
}

// Records is the part of the main records.
func Records() Part {
	return Part{Name: "records", File: "postern.db", Migrations: migrationFS(), Table: "schema_migrations"}
}

// Of the main records: what says which node decides now, what lasts hours at
// most, and what a restored server must not believe any more.
var passing = []string{"leases", "leaders", "written_marks", "sessions", "drafts", "spent_flows", "signin_guards"}

// Passing names tables whose rows are worth nothing after a restore, so that no backup holds them.
func Passing() []string { return slices.Clone(passing) }

// OfNodes names tables that are about running nodes, which no copy of a database takes along.
func OfNodes() []string { return []string{"leases", "leaders", "written_marks"} }

var createTable = regexp.MustCompile(`(?mi)^\s*create table (?:if not exists )?([a-z_0-9]+)`)
var dropTable = regexp.MustCompile(`(?mi)^\s*drop table (?:if exists )?([a-z_0-9]+)`)

// tables are the tables of a part at a version of its schema, each after those
// that it refers to: a migration can't refer to what isn't there yet.
func (p *Part) tables(e Engine, version int64) (out []string, latest int64, err error) {
	names, err := fs.Glob(p.Migrations, string(e)+"/*.sql")
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return nil, 0, fmt.Errorf("store: migration %s: %w", name, err)
		}
		latest = max(latest, v)
		if v > version {
			continue
		}
		text, err := fs.ReadFile(p.Migrations, name)
		if err != nil {
			return nil, 0, err
		}
		for _, m := range createTable.FindAllStringSubmatch(string(text), -1) {
			out = append(out, m[1])
		}
		for _, m := range dropTable.FindAllStringSubmatch(string(text), -1) {
			out = slices.DeleteFunc(out, func(t string) bool { return t == m[1] })
		}
	}
	return out, latest, nil
}

// ColumnType is what a column holds, the same on both engines.
type ColumnType string

// The types.
const (
	Text    ColumnType = "text"
	Integer ColumnType = "integer"
	Real    ColumnType = "real"
	Blob    ColumnType = "blob"
)

// Column is a column of a table.
type Column struct {
	Name string
	Type ColumnType
}

// Table is a table as it is in a database.
type Table struct {
	Name    string
	Columns []Column
	Key     []string // columns of the primary key
}

// Names are the names of the columns.
func (t *Table) Names() []string {
	out := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		out[i] = c.Name
	}
	return out
}

// At is the place of a column, -1 where there is none.
func (t *Table) At(column string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == column })
}

type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// describe reads the columns of a table.
func describe(ctx context.Context, q asker, e Engine, name string) (t Table, err error) {
	t.Name = name
	query := "select name, lower(type), pk from pragma_table_info('" + name + "') order by cid"
	if e == Postgres {
		query = `select a.attname, lower(format_type(a.atttypid, null)),
				coalesce((select array_position(string_to_array(i.indkey::text, ' ')::int[], a.attnum::int)
					from pg_index i where i.indrelid = a.attrelid and i.indisprimary), 0)
			from pg_attribute a where a.attrelid = to_regclass('` + name + `') and a.attnum > 0 and not a.attisdropped order by a.attnum`
	}
	type column struct {
		Column
		key int
	}
	rows, err := q.QueryContext(ctx, query)
	list, err := collect(rows, err, func(s scanner) (c column, err error) {
		var kind string
		err = s.Scan(&c.Name, &kind, &c.key)
		switch kind {
		case "text":
			c.Type = Text
		case "integer", "bigint", "smallint":
			c.Type = Integer
		case "real", "double precision":
			c.Type = Real
		case "blob", "bytea":
			c.Type = Blob
		default:
			err = fmt.Errorf("column %s.%s has the type %q", name, c.Name, kind)
		}
		return c, err
	})
	if err != nil {
		return t, fmt.Errorf("store: describe %s: %w", name, err)
	}
	keys := 0
	for _, c := range list {
		t.Columns = append(t.Columns, c.Column)
		keys = max(keys, c.key)
	}
	t.Key = make([]string, keys)
	for _, c := range list {
		if c.key > 0 {
			t.Key[c.key-1] = c.Name
		}
	}
	if len(t.Columns) == 0 || keys == 0 {
		return t, fmt.Errorf("store: the table %s isn't there, or has no primary key", name)
	}
	return t, nil
}

// orderBy puts rows in the order of the key, which is the same on both engines.
func (t *Table) orderBy(e Engine) string {
	out := make([]string, len(t.Key))
	for i, k := range t.Key {
		out[i] = t.collated(e, k)
	}
	return strings.Join(out, ", ")
}

// collated is a column as it is compared: texts by their bytes.
func (t *Table) collated(e Engine, column string) string {
	if e == Postgres && t.Columns[t.At(column)].Type == Text {
		return column + ` collate "C"`
	}
	return column
}

// LatestRecords is the newest schema of the main records that this binary knows.
func LatestRecords() int64 {
	p := Records()
	_, latest, err := p.tables(SQLite, 0)
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return latest
}

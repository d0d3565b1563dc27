package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/auditor"
	"postern.dev/postern/internal/cli"
	"postern.dev/postern/internal/node"
	"postern.dev/postern/internal/store"
)

// auditData is a data directory with a log of 20 entries, 15 of them signed over,
// the checkpoint, and the key.
func auditData(t *testing.T) (dir, checkpoint, key string) {
	t.Helper()
	dir = t.TempDir()
	pepper, err := node.LoadPepper(filepath.Join(dir, "pepper"), true)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.OpenDB(t.Context(), filepath.Join(dir, "postern.db"), pepper, (&Config{LogLevel: "error"}).logger())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	a, err := auditor.New(t.Context(), auditor.Config{DB: db, Pepper: pepper, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	write := func(n int) {
		_, err := db.Write(t.Context(), func(tx *store.Tx) error {
			for i := range n {
				by := postern.Actor{AccountID: postern.AccountID(fmt.Sprint("acc_", i%2)), System: "test"}
				if err := tx.InsertAudit(t.Context(), by.Entry(now, "test.write", fmt.Sprint("object-", i))); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	write(15)
	if err := a.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(5)
	c, err := db.AuditCheckpoint(t.Context(), 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint = filepath.Join(t.TempDir(), "kept.txt")
	if err := os.WriteFile(checkpoint, []byte(c.Note), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, checkpoint, a.Keys()[0]
}

// audit runs a command of the audit log.
func audit(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	root := cli.New(cli.Options{Stdin: strings.NewReader(""), Stdout: &o, Stderr: &e, Getenv: func(string) string { return "" }})
	root.SetArgs(append([]string{"audit"}, args...))
	attach(root)
	return cli.Execute(context.Background(), root), o.String(), e.String()
}

func alterData(t *testing.T, dir string, queries ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "postern.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range queries {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// The command finds what was done to a database and to an export of it, and says
// what it went by.
func TestAuditVerify(t *testing.T) {
	dir, kept, key := auditData(t)
	want := func(status int, text string, args ...string) {
		t.Helper()
		got, out, errs := audit(t, append([]string{"verify"}, args...)...)
		if got != status || !strings.Contains(out+errs, text) {
			t.Errorf("audit verify %q = %d\n%s%s\nwant %d and %q", args, got, out, errs, status, text)
		}
	}
	export := filepath.Join(t.TempDir(), "proof.jsonl")
	if status, _, errs := audit(t, "export", "--data", dir, "--format", "proof", "--out", export); status != 0 {
		t.Fatalf("export = %d %s", status, errs)
	}
	want(0, "The audit log is sound: 20 entries.", "--data", dir)
	want(0, "1 checkpoint, over the first 15 entries", "--data", dir, "--checkpoint", kept, "--key", key)
	want(0, `"covered":15`, "--export", export, "--checkpoint", kept, "--key", key, "--json")
	want(0, "give the one that you kept with --key", "--export", export)
	want(cli.ExitUsage, "is no key of an audit log", "--data", dir, "--key", "x")
	want(cli.ExitUsage, "no such file", "--data", dir, "--checkpoint", "nowhere.txt")
	want(cli.ExitUsage, "This is no export", "--export", kept)
	want(cli.ExitNotFound, "There is no database", "--data", t.TempDir())

	alterData(t, dir, "delete from audit_entries where seq > 10", "delete from audit_hashes where n > 17", "update heads set n = 10 where name = 'audit'")
	want(cli.ExitUnsound, "First bad entry: 11", "--data", dir)
	alterData(t, dir, "delete from audit_checkpoints", "update heads set n = 0 where name = 'audit_checkpoints'")
	want(0, "The audit log is sound: 10 entries.", "--data", dir) // nothing here tells of the others
	want(cli.ExitUnsound, "the newest entries were cut off", "--data", dir, "--checkpoint", kept)
	alterData(t, dir, "update audit_entries set object = 'x' where seq = 4")
	want(cli.ExitUnsound, `"firstBad":4`, "--data", dir, "--json")

	text, err := os.ReadFile(export)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(export, bytes.Replace(text, []byte("object-3"), []byte("object-x"), 2), 0o600); err != nil {
		t.Fatal(err)
	}
	want(cli.ExitUnsound, "First bad entry: 4", "--export", export, "--key", key)
}

// Syslog messages go over TCP with their lengths, and the next run sends what is new.
func TestAuditExportToSyslog(t *testing.T) {
	dir, _, _ := auditData(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan []string)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			got <- frames(conn)
		}
	}()
	state := filepath.Join(t.TempDir(), "sent.txt")
	send := func() []string {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if status, _, errs := audit(t, "export", "--data", dir, "--format", "syslog", "--to", "tcp://"+l.Addr().String(), "--state", state); status != 0 {
				t.Errorf("export = %d %s", status, errs)
			}
		}()
		list := <-got
		<-done
		return list
	}
	first := send()
	if len(first) != 20 || !strings.HasPrefix(first[0], "<109>1 2026-11-22T09:00:00.000000Z postern/") || !strings.Contains(first[19], `seq="20"`) {
		t.Errorf("%d messages: %q", len(first), first)
	}
	if again := send(); len(again) != 0 {
		t.Errorf("sent again: %q", again)
	}
	if status, out, _ := audit(t, "export", "--data", dir, "--after", "18"); status != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, `"account":"acc_1"`) {
		t.Errorf("export after 18 = %d %s", status, out)
	}
}

// frames reads messages with their lengths before them.
func frames(conn net.Conn) (out []string) {
	defer conn.Close()
	for r := bufio.NewReader(conn); ; {
		length, err := r.ReadString(' ')
		if err != nil {
			return out
		}
		n, err := strconv.Atoi(strings.TrimSpace(length))
		if err != nil {
			return append(out, "no length: "+length)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return append(out, err.Error())
		}
		out = append(out, string(b))
	}
}

package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/node"
)

// TestOpenWithoutTheRightPepper: a server that can't check a secret says so and
// doesn't start, makes no new pepper, and starts once the right one is back.
func TestOpenWithoutTheRightPepper(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	pepper := filepath.Join(dir, "pepper")
	n, err := node.Open(ctx, node.Config{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Keyring.Setup(ctx, keyring.SetupInput{AccountName: "Acme", Email: "ada@example.org", Name: "Ada"}); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(pepper)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"missing", "", "is missing"},
		{"another", postern.NewPepper(), "is not the pepper that the database was made with"},
		{"a newer one only", strings.Replace(postern.NewPepper(), "1:", "2:", 1), "lacks version 1"},
		{"no pepper at all", "pepper", "line 1"},
	} {
		os.Remove(pepper)
		if c.text != "" {
			if err := os.WriteFile(pepper, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n, err := node.Open(ctx, node.Config{Data: dir})
		if err == nil || n != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Open = %v, want an error with %q", c.name, err, c.want)
		}
		if text, err := os.ReadFile(pepper); string(text) != c.text {
			t.Errorf("%s: the pepper file holds something else now (%v)", c.name, err)
		}
	}
	if err := os.WriteFile(pepper, right, 0o644); err != nil {
		t.Fatal(err)
	}
	os.Chmod(pepper, 0o644)
	if _, err := node.Open(ctx, node.Config{Data: dir}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a pepper that others can read: Open = %v, want an error that says chmod 600", err)
	}
	os.Chmod(pepper, 0o600)
	if n, err = node.Open(ctx, node.Config{Data: dir}); err != nil {
		t.Fatalf("with the right pepper again: %v", err)
	}
	n.Close()
}

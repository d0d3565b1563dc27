package model_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/internal/e2e/model"
)

// shrinkFor is how long to look for a shorter sequence that fails.
const shrinkFor = 40 * time.Second

// shrink leaves out of a sequence that fails what can be left out, in ever
// smaller parts, and tells what remains. Each operation has randomness of its own,
// so that the others stay what they were as far as what they act on is still there.
func shrink(t *testing.T, target func(testing.TB) string, seed uint64, ops []int) {
	t.Helper()
	until := time.Now().Add(shrinkFor)
	var last *disagreement
	fails := func(ops []int) bool {
		failed := false
		t.Run("shrink", func(t *testing.T) {
			if _, d := play(t, target(t), seed, ops, model.BugNone, true); d != nil {
				last, failed = d, true
			}
		})
		return failed
	}
	for size := len(ops) / 2; size > 0; size /= 2 {
		for from := 0; from < len(ops)-1 && time.Now().Before(until); {
			less := slices.Delete(slices.Clone(ops), from, min(from+size, len(ops)-1))
			if fails(less) {
				ops = less[:last.at+1]
			} else {
				from += size
			}
		}
	}
	if last != nil {
		t.Logf("%d operations are enough:\n%s\n%v", len(ops), strings.Join(last.log, "\n"), last.err)
	}
}

func keyName(k *model.Key) string {
	if k == nil {
		return "no key"
	}
	return fmt.Sprintf("%s (scopes %v, made by %s, expiry %s)", k.Name, k.Scopes, k.MadeBy.Email, k.ExpiresAt)
}

func memberName(m *model.Member) string {
	if m == nil {
		return "nobody"
	}
	return m.Email
}

func roleName(r *model.Role) string {
	if r == nil {
		return "no role"
	}
	return r.ID + r.Name
}

// show shows what a pointer points to.
func show[T any](p *T) string {
	if p == nil {
		return "as it is"
	}
	return fmt.Sprintf("%v", *p)
}

func edit(in model.KeyEdit) string {
	return fmt.Sprintf("name %s, description %s, scopes %s, networks %s, not before %s, expiry %s, rate %s, paused %s, reviewed %t, revision %d",
		show(in.Name), show(in.Description), show(in.Scopes), show(in.Networks), show(in.NotBefore), show(in.ExpiresAt),
		show(in.Rate), show(in.Paused), in.Reviewed, in.Revision)
}

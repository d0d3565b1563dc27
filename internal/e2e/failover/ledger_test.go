package main

import (
	"errors"
	"testing"
	"time"
)

// The judge finds what it is there for, and nothing else.
func TestLedger(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	sound := func(l *ledger) {
		k := &key{id: "a", secret: "s"}
		l.made(k, now, now)
		l.live(k)
		for range 200 {
			l.judge(k, live, now, true, "", nil)
		}
		l.ended(k, now)
		l.judge(k, over, now.Add(time.Second), false, "revoked", nil)
		l.judge(k, over, now.Add(-time.Second), true, "", nil) // it began before the receipt
		l.judge(k, live, now, false, "revoked", nil)           // it was ended meanwhile
	}
	for _, c := range []struct {
		name  string
		plant func(l *ledger, k *key)
		sound bool
	}{
		{"nothing", func(*ledger, *key) {}, true},
		{"a verification without an answer", func(l *ledger, k *key) { l.judge(k, live, now, false, "", errors.New("503")) }, false},
		{"a live key that is refused", func(l *ledger, k *key) { l.judge(k, live, now, false, "unknown_key", nil) }, false},
		{"an ended key that is accepted", func(l *ledger, k *key) {
			l.ended(k, now)
			l.judge(k, over, now.Add(time.Millisecond), true, "", nil)
		}, false},
		{"a lost change", func(l *ledger, _ *key) { l.lose("gone") }, false},
		{"an answer that should not be", func(l *ledger, _ *key) { l.fault("500") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLedger()
			sound(l)
			k := &key{id: "b", secret: "s"}
			l.made(k, now, now)
			l.live(k)
			c.plant(l, k)
			if err := l.verdict(); (err == nil) != c.sound {
				t.Errorf("verdict = %v, want sound %v", err, c.sound)
			}
		})
	}
	if newLedger().verdict() == nil {
		t.Error("a run in which nothing happened is sound")
	}
}

package postern

import (
	"testing"
	"time"
)

func TestBrownoutRefusesWithinItsWindowsAlone(t *testing.T) {
	t0 := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	spans := SpansOf([]Window{{t0.Add(time.Hour), t0.Add(2 * time.Hour)}, {t0, t0.Add(time.Minute)}, {t0, t0}})
	if len(spans) != 2 {
		t.Fatalf("SpansOf kept %d windows, want 2: one is empty", len(spans))
	}
	for _, tt := range []struct {
		at     time.Duration
		within bool
	}{{-1, false}, {0, true}, {time.Minute - time.Microsecond, true}, {time.Minute, false}, {time.Hour, true}, {2 * time.Hour, false}} {
		now := ToMicros(t0.Add(tt.at))
		if tt.at == -1 {
			now = ToMicros(t0) - 1
		}
		until, within := Brownout(spans, now)
		if within != tt.within || within != (until > now) {
			t.Errorf("Brownout at %s = %v until %d, want %v", tt.at, within, until, tt.within)
		}
		c := &Credential{Current: [32]byte{1}, Kind: KindLegacyAPIKey, Flags: FlagAllScopes}
		f := &Facts{Presented: Presented{AsCurrent: [32]byte{1}}, Brownouts: spans, Need: &Need{Any: []AllOf{{Kinds: AllKinds}}}, Now: now}
		reason, _, _ := Decide(c, f)
		if want := map[bool]Reason{true: ReasonBrownout, false: ReasonAllowed}[tt.within]; reason != want {
			t.Errorf("Decide at %s = %s, want %s", tt.at, reason, want)
		}
	}
	r := CredentialRow{Retiring: &Retiring{Brownouts: []Window{{t0, t0.Add(time.Hour)}}}}
	was := string(r.canonical())
	r.Retiring.Brownouts[0].Until = t0.Add(time.Minute)
	if string(r.canonical()) == was {
		t.Error("the seal of a row doesn't cover its brownouts")
	}
}

package console

import (
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
)

// TestHeldRotation: what waits for someone's word is on top of the list, on the
// page of the rotation, and can be let go on.
func TestHeldRotation(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		k := must(w.kr.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "nightly", Scopes: []postern.Scope{"deals.read"}}))(t).Key
		at := "/keys/" + string(k.ID)
		b.get(at+"/rotate").want(200, "At the end of that time", "Ask me first, if it is still used")
		b.post(at+"/rotate", "why", "later", "grace", "7", "ends", "hold", "idle", "48").want(200, "New secret made", "you are asked before the old one stops")
		b.get(at+"/rotate").want(200, "If something still uses it, you are asked first", "48 hours")
		w.later(7 * 24 * time.Hour)
		if step, err := w.kr.SettleRotation(t.Context(), w.super.AccountID, k.ID, postern.RotationUse{Old: w.now().Add(-time.Hour), Known: w.now()}); err != nil || step != postern.RotationAsks {
			t.Fatalf("step = %d, %v", step, err)
		}
		b = w.login()
		b.get("/keys").want(200, "1 key needs a decision", "something still uses the old secret", "Let it go on or end it")
		b.get(at+"/rotate").want(200, "Its deadline has come", "Keep it longer")
		b.get(at+"/rotate/longer").want(200, "let it go on as often as needed")
		b.post(at+"/rotate/longer", "more", "3").want(303)
		b.get("/keys").not("needs a decision")
	})
}

// TestTripwiresInTheConsole: the policy sets them, a canary is made and marked, and
// what was seen stands on the key's page.
func TestTripwiresInTheConsole(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		b.get("/settings/security").want(200, "A canary is used", "Tell them, and pause the key")
		form := []string{"remindExpiry", "30", "tripRetired", "off", "tripFar", "notify", "tripCanary", "pause", "tripRefused", "notify",
			"farFleet", "5", "farLearnHours", "0", "refusedCalls", "20", "refusedMinutes", "5", "refusedPercent", "50"}
		b.post("/settings/security", append(form, "revision", "0", "farMinutes", "10")...).want(303)
		p := must(w.kr.Policy(t.Context(), w.super))(t)
		if p.Tripwires.Retired != postern.TripOff || p.Tripwires.Canary != postern.TripPause || p.Tripwires.FarLearnHours != 0 || p.Tripwires.RefusedCalls != 20 {
			t.Errorf("tripwires = %+v", p.Tripwires)
		}
		b.post("/settings/security", append(form, "revision", "1", "farMinutes", "61")...).want(422, "This is 1 to 60.")

		k := must(w.kr.CreateKey(t.Context(), w.super, keyring.NewKey{Name: "bird", Canary: true}))(t).Key
		if told, err := w.kr.Trip(t.Context(), postern.Trip{AccountID: k.AccountID, Key: k.ID, Kind: postern.TripCanary, Words: "Nobody should ever use this key."}); err != nil || !told {
			t.Fatalf("trip = %v, %v", told, err)
		}
		b.get("/keys/"+string(k.ID)).want(200, "canary", "1 tripwire was touched in 30 days", "The key was paused.", "Tripwire: this canary was used")
		b.get("/keys").want(200, "canary")
	})
}

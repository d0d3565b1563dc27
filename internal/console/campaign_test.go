package console

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/keyring"
	"postern.dev/postern/internal/rotation"
	"postern.dev/postern/internal/store"
)

// campaignViews are the pages of rotations of many keys.
func campaignViews(c func() Common) map[string][]view {
	people := []postern.Member{{ID: "mem_1", Name: polyglot}, {ID: "mem_2", Name: "B"}, {ID: "mem_3", Name: "C"}}
	camp := &rotation.Campaign{CampaignState: keyring.CampaignState{Campaign: store.Campaign{ID: "cmp_1", Name: polyglot, Words: polyglot, ChosenBy: polyglot, Deadline: t0, ClosedAt: t0}},
		Counts: map[rotation.KeyState]int{rotation.KeyOverdue: 1}, Keys: []rotation.CampaignKey{{ID: "k1", Name: polyglot, State: rotation.KeyOverdue, Keepers: people, Rotating: true, Callers: []string{polyglot}, Still: 3},
			{ID: "k2", Name: "b", State: rotation.KeyWaits}, {ID: "k3", Name: "c", State: rotation.KeyRotating, Rotating: true}, {ID: "k4", Name: "d", State: rotation.KeyDone}, {ID: "k5", Name: "e", State: rotation.KeyEnded}}}
	return map[string][]view{
		"campaigns": {&campaignsView{}, &campaignsView{Common: c(), List: []*rotation.Campaign{camp, {}}, May: true, More: true}},
		"campaign-new": {&campaignNewView{F: newForm()}, &campaignNewView{Common: c(), F: &form{Values: map[string][]string{"name": {polyglot}, "named": {polyglot}, "words": {polyglot}, "all": {"on"}}, Errors: []fieldError{{"deadline", polyglot}, {"", polyglot}}},
			Members: []option{{Value: "mem_1", Label: polyglot}}, Looked: true, Chosen: 1, Rows: []keyring.CampaignCandidate{{Key: postern.ServiceKey{ID: "k1", Name: polyglot}, Keepers: people, Note: polyglot}, {Key: postern.ServiceKey{ID: "k2"}, Why: "It has ended."}}},
			&campaignNewView{Common: c(), F: newForm(), Looked: true}},
		"campaign": {&campaignView{}, &campaignView{Common: c(), F: newForm("why", polyglot), C: camp, By: polyglot, May: true, Open: true}, &campaignView{Common: c(), F: newForm(), C: camp}},
	}
}

var hiddenID = regexp.MustCompile(`name="id" value="([A-Za-z0-9]{16})"`)

func TestCampaignPages(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		b := w.login()
		b.get("/campaigns").want(200, "Rotate many keys", "None yet", "/campaigns/new")
		keys := w.fixture()
		b.get("/campaigns/new").want(200, "Which keys", "Look at the keys")
		b.get("/campaigns/new?look=1").want(422, "Say which keys")
		b.get("/campaigns/new?look=1&older=soon").want(422, "Give a number of days")
		b.get("/campaigns/new?look=1&named=nothing-has-this").want(200, "0 keys to be rotated", "No key matches.")
		page := b.get("/campaigns/new?look=1&all=on").want(200, "6 keys to be rotated", "Left out. It is being rotated already", "gsheet-lead-import", "Maya Okafor").body
		ids := hiddenID.FindAllStringSubmatch(page, -1)
		if len(ids) != 6 {
			t.Fatalf("%d keys are in the form, want 6", len(ids))
		}
		form := []string{"all", "on", "name", "Quarterly", "words", "Ask <Ada>."}
		for _, m := range ids {
			form = append(form, "id", m[1])
		}
		b.post("/campaigns", form...).want(422, "Choose a day.", "Quarterly")
		b.post("/campaigns", "name", "x", "deadline", "2030-01-01").want(422, "Look at the keys first.")
		day := w.now().AddDate(0, 0, 10).Format(time.DateOnly)
		to := b.post("/campaigns", append(form, "deadline", day)...).want(303).header.Get("Location")
		if !strings.HasPrefix(to, "/campaigns/cmp_") {
			t.Fatalf("started, it leads to %q", to)
		}
		b.get(to).want(200, "Quarterly", "0 of 6 done", "Ask <Ada>.", "Waits", "/keys/"+string(keys["gsheet-lead-import"].ID)+"/rotate", "6 named", "are told within a minute")
		k := keys["gsheet-lead-import"]
		must(w.kr.RotateKey(ctx, w.super, k.ID, keyring.Rotation{Grace: 24 * time.Hour}))(t)
		w.called(k, w.now().Add(time.Second), 2, 200)
		w.later(time.Minute)
		b.get(to).want(200, "0 of 6 done", "Both secrets work", "See who moves")
		must(w.kr.FinishRotation(ctx, w.super, k.ID, 0))(t)
		b.get(to).want(200, "1 of 6 done")
		report := b.get(to + "/report").want(200).body
		if !strings.HasPrefix(report, "name,id,state,") || !strings.Contains(report, "gsheet-lead-import,"+string(k.ID)+",done,Maya Okafor") {
			t.Errorf("report = %q", report)
		}
		b.get("/campaigns").want(200, "Quarterly", "1 of 6", "Under way")
		b.post(to+"/close", "why", "Enough.").want(303)
		b.get(to).want(200, "Closed").not("Close it")
		b.post(to+"/close").want(422, "closed already")
		b.get("/campaigns/cmp_none").want(404)
		b.get("/keys/bulk?action=rotate&id=" + ids[0][1] + "&id=" + ids[1][1]).want(303)
		b.get("/campaigns/new?id="+ids[0][1]+"&id="+ids[1][1]).want(200, "2 keys to be rotated")
	})
}

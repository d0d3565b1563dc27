package httpapi_test

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
)

// rotatesMany calls each operation on rotations of many keys once as it should be, and
// once as it can't be.
func rotatesMany(t *testing.T, w *world, step func(name string, well, badly error)) {
	t.Helper()
	ctx, c, nobody := t.Context(), w.super, w.client("")
	err2 := func(_ any, err error) error { return err }
	k, err := c.CreateServiceKey(ctx, api.NewServiceKey{Name: "one of many"})
	step("one of many", err, err2(nobody.Campaigns(ctx, client.Paging{})))
	choose := api.CampaignChoice{Name: "of many", OlderThan: "1ns"}
	step("choose", err2(c.ChooseCampaign(ctx, choose)), err2(c.ChooseCampaign(ctx, api.CampaignChoice{})))
	step("choose by a bad age", nil, err2(c.ChooseCampaign(ctx, api.CampaignChoice{OlderThan: "long"})))
	in := api.NewCampaign{Name: "By Friday", Deadline: time.Now().Add(48 * time.Hour), Choose: choose}
	camp, err := c.StartCampaign(ctx, in)
	step("start", err, err2(c.StartCampaign(ctx, api.NewCampaign{Name: "x", Deadline: time.Now(), Choose: choose})))
	step("start with a bad age", nil, err2(c.StartCampaign(ctx, api.NewCampaign{Name: "x", Deadline: in.Deadline, Choose: api.CampaignChoice{OlderThan: "0s"}})))
	step("campaign", err2(c.Campaign(ctx, camp.ID)), err2(c.Campaign(ctx, "cmp_none")))
	step("campaigns", err2(c.Campaigns(ctx, client.Paging{Limit: 1})), err2(c.Campaigns(ctx, client.Paging{Cursor: "x"})))
	var report strings.Builder
	step("campaign report", c.CampaignReport(ctx, camp.ID, &report), c.CampaignReport(ctx, "cmp_none", &report))
	step("close", err2(c.CloseCampaign(ctx, camp.ID, "Enough.")), err2(c.CloseCampaign(ctx, camp.ID, "")))
	step("delete one of many", err2(c.DeleteServiceKey(ctx, k.ID)), err2(nobody.CloseCampaign(ctx, camp.ID, "")))
}

// TestCampaignByAPI: from the dry run to the report; each key is rotated by its own operation.
func TestCampaignByAPI(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		ctx, c := t.Context(), w.super
		_, kim := w.member("kim@example.org", "key_manager")
		kims := must(w.client(kim.Secret).CreateServiceKey(ctx, api.NewServiceKey{Name: "kims"}))(t)
		mine := must(c.CreateServiceKey(ctx, api.NewServiceKey{Name: "mine", Scopes: []string{"deals.read"}}))(t)
		gone := must(c.CreateServiceKey(ctx, api.NewServiceKey{Name: "gone"}))(t)
		must(c.RevokeServiceKey(ctx, gone.ID, ""))(t)
		dry := must(c.ChooseCampaign(ctx, api.CampaignChoice{KeyIDs: []string{kims.ID, mine.ID, gone.ID}}))(t)
		got := map[string]string{}
		for _, x := range dry.Items {
			got[x.Name] = x.Why
			if x.Name == "kims" && (len(x.LookedAfterBy) != 1 || x.LookedAfterBy[0].ID != kim.Member.ID) {
				t.Errorf("who looks after kims = %+v", x.LookedAfterBy)
			}
		}
		if dry.Chosen != 2 || len(got) != 3 || got["gone"] != "It has ended." || got["kims"]+got["mine"] != "" {
			t.Errorf("the dry run = %+v", dry)
		}
		if list := must(c.Campaigns(ctx, client.Paging{}))(t); len(list.Items) != 0 {
			t.Errorf("a dry run has started %+v", list.Items)
		}
		in := api.NewCampaign{Name: "By Friday", Words: "Ask Ada.", Deadline: time.Now().Add(48 * time.Hour), Choose: api.CampaignChoice{All: true}}
		camp := must(c.StartCampaign(ctx, in, client.IdempotencyKey("start-1")))(t)
		if again := must(c.StartCampaign(ctx, in, client.IdempotencyKey("start-1")))(t); again.ID != camp.ID || camp.All != 2 || camp.Left != 2 || camp.Counts.Waiting != 2 || camp.ChosenBy != "all keys" {
			t.Errorf("started = %+v, and again %s", camp, again.ID)
		}
		made := must(w.client(kim.Secret).RotateServiceKey(ctx, kims.ID, api.Rotate{Grace: "24h"}))(t)
		if made.Secret == "" {
			t.Error("who rotates it is shown no secret")
		}
		w.call(kims.Secret, "GET", "/ping")
		must(c.RotateServiceKey(ctx, mine.ID, api.Rotate{Grace: "0s"}))(t)
		now := must(c.Campaign(ctx, camp.ID))(t)
		if now.Left != 1 || now.Counts.Done != 1 || now.Counts.Rotating != 1 || now.Keys[0].Name != "kims" || now.Keys[0].RotatedBy == nil || now.Keys[0].RotatedBy.ID != kim.Member.ID || now.Keys[1].State != "done" {
			t.Errorf("in its middle = %+v", now)
		}
		var report strings.Builder
		if err := c.CampaignReport(ctx, camp.ID, &report); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(report.String())).ReadAll()
		if err != nil || len(rows) != 3 || rows[1][2] != "rotating" || strings.Contains(report.String(), made.Secret) {
			t.Errorf("report = %q, %v", rows, err)
		}
		if closed := must(c.CloseCampaign(ctx, camp.ID, "Enough."))(t); closed.ClosedAt.IsZero() {
			t.Errorf("closed = %+v", closed)
		}
		actions := []string{}
		for _, e := range must(c.Audit(ctx, client.AuditQuery{Object: camp.ID}))(t).Items {
			actions = append(actions, e.Action)
		}
		if strings.Join(actions, " ") != "campaign.close campaign.export campaign.start" {
			t.Errorf("the audit log has %q", actions)
		}
		if got := w.everyAnswer(camp.ID); strings.Contains(got, made.Secret) {
			t.Error("a campaign shows a secret")
		}
	})
}

func (w *world) everyAnswer(id string) string {
	return string(w.send("GET", "/v1/campaigns/"+id, w.secret, "").body) + string(w.send("GET", "/v1/campaigns", w.secret, "").body)
}

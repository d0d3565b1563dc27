package httpapi_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/workbench"
)

// migrates takes old credentials through their migration: each step once as it should
// be, and once as it can't be.
func migrates(t *testing.T, w *world, step func(name string, well, badly error)) {
	t.Helper()
	ctx, c, nobody := t.Context(), w.super, w.client("")
	err2 := func(_ any, err error) error { return err }
	me, err := c.Me(ctx)
	if err != nil {
		t.Fatal(err)
	}
	by := postern.Actor{AccountID: w.account, MemberID: postern.MemberID(me.Member.ID)}
	// They were imported nine days ago: nothing is switched off before it was watched for a week.
	w.later.Store(int64(-9 * 24 * time.Hour))
	_, err = workbench.Import(ctx, w.kr, by, strings.NewReader("name,kind,scopes,secret\nforms,legacy_api_key,,7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2\nweb,private_app,deals.read,pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3\n"),
		workbench.ImportOptions{Format: "csv"})
	if err != nil {
		t.Fatal(err)
	}
	w.later.Store(0)
	b, err := c.Migration(ctx)
	step("migration", err, err2(nobody.Migration(ctx)))
	ids := map[string]string{}
	for _, i := range b.Items {
		ids[i.Name] = i.ID
	}
	forms, web, no := ids["forms"], ids["web"], "mig_none"
	step("item", err2(c.MigrationItem(ctx, forms)), err2(c.MigrationItem(ctx, no)))
	step("path", err2(c.ChoosePath(ctx, web, api.ChoosePath{Path: "service_key", Why: "It reads."})), err2(c.ChoosePath(ctx, no, api.ChoosePath{Path: "app"})))
	step("owner", err2(c.ChooseOwner(ctx, web, api.ChooseOwner{MemberID: me.Member.ID})), err2(c.ChooseOwner(ctx, web, api.ChooseOwner{MemberID: "mem_none"})))
	step("scopes", err2(c.ChooseScopes(ctx, web, api.ChooseScopes{Scopes: []string{"deals.read"}})), err2(c.ChooseScopes(ctx, web, api.ChooseScopes{Scopes: []string{"no.such"}})))
	step("shadow", err2(c.ShadowMigration(ctx, web, api.ReplaySpan{})), err2(c.ShadowMigration(ctx, no, api.ReplaySpan{})))
	step("key", err2(c.MakeMigrationKey(ctx, web, api.MigrationKey{Name: "web-key"})), err2(c.MakeMigrationKey(ctx, forms, api.MigrationKey{})))
	step("brownouts", err2(c.ScheduleBrownouts(ctx, web, api.Brownouts{From: time.Now().Add(time.Hour), Days: 2})), err2(c.ScheduleBrownouts(ctx, web, api.Brownouts{})))
	step("stop", err2(c.StopBrownouts(ctx, web, "Enough.")), err2(c.StopBrownouts(ctx, web, "")))
	step("upload", err2(c.UploadInventory(ctx, api.UploadInventory{Items: []api.InventoryItem{{Fingerprint: "fp_00000000000000aa", Name: "seen", Schedule: api.Schedule{Kind: "once"}, Path: "unclear",
		Operations: []api.OperationUse{}, Callers: []api.CallerUse{}, Scopes: []string{}, Reasons: []string{}, Notes: []api.PathNote{}}}})), err2(nobody.UploadInventory(ctx, api.UploadInventory{Items: []api.InventoryItem{}})))
	step("old scopes", err2(c.LegacyScopes(ctx)), err2(nobody.LegacyScopes(ctx)))
	step("set an old scope", err2(c.SetLegacyScope(ctx, "broad", []string{"deals.*"})), err2(c.SetLegacyScope(ctx, "broad", []string{"a b"})))
	step("reset an old scope", c.ResetLegacyScope(ctx, "broad"), nobody.ResetLegacyScope(ctx, "broad"))
	step("report", c.MigrationReport(ctx, io.Discard), nobody.MigrationReport(ctx, io.Discard))
	step("moved", err2(c.MovedMigration(ctx, web, api.MovedTo{Note: "The forms app."})), err2(c.MovedMigration(ctx, forms, api.MovedTo{Note: "x"})))
	// Nobody used this one: it goes.
	step("retire", err2(c.ChoosePath(ctx, forms, api.ChoosePath{Path: "retire"})), err2(c.SignOffMigration(ctx, web, "")))
	step("sign off", err2(c.SignOffMigration(ctx, forms, "Nobody knows it.")), err2(c.SignOffMigration(ctx, no, "")))
	step("archive", err2(c.ArchiveMigration(ctx, forms)), err2(c.ArchiveMigration(ctx, web)))
	step("undo", err2(c.UndoMigration(ctx, forms)), err2(c.UndoMigration(ctx, forms)))
	step("sign off again", err2(c.SignOffMigration(ctx, forms, "Nobody does.")), err2(c.EndMigration(ctx, forms)))
	step("archive again", err2(c.ArchiveMigration(ctx, forms)), err2(c.EndMigration(ctx, forms)))
	w.later.Store(int64(4 * 24 * time.Hour))
	defer w.later.Store(0)
	step("end", err2(c.EndMigration(ctx, forms)), err2(c.EndMigration(ctx, forms)))
}

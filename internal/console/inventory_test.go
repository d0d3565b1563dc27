package console

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/workbench"
	"postern.dev/postern/internal/workbench/accesslog"
)

func inventoryViews(c func() Common) map[string][]view {
	row := groupRow{Item: &workbench.Item{Fingerprint: "fp_00000000000000aa", Look: workbench.Look{Weak: true, Shown: polyglot}, Calls: 3, InAddress: 1, Last: t0, Rhythm: workbench.Rhythm{Words: polyglot}, Scopes: []postern.Scope{"a"},
		Advice: workbench.Path{To: workbench.ToApp, Reasons: []string{polyglot}}, Callers: []workbench.Caller{{IP: netip.MustParseAddr("203.0.113.7")}}}, Title: polyglot, Becomes: "An app", Kind: "info", Imported: polyglot, Link: "/legacy/x",
		Who: []string{polyglot, "b"}, Others: 2, Did: []workbench.OperationUse{{Method: "GET", Path: polyglot, Calls: 2}}, DidMore: 1}
	bare := groupRow{Item: &workbench.Item{}, Title: "b", Becomes: "Unclear"}
	return map[string][]view{"inventory": {&inventoryView{}, &inventoryView{Common: c(), F: newForm("format", polyglot), Job: "x", Most: 1, APIs: []option{{Value: "crm", Label: polyglot}}},
		&inventoryView{Common: c(), F: newForm(), Shown: true, Name: polyglot, Items: 9, Groups: []groupRow{row, bare}, More: 2, Named: 1, Stats: &accesslog.Stats{Calls: 3, Jumps: 1, Cut: true}, Faults: []string{polyglot}, Nobody: 2, Beyond: 1, From: t0, To: t0, Checked: "sealed"},
		&inventoryView{Common: c(), F: newForm(), Shown: true, TooMuch: true, Groups: []groupRow{bare}}, &inventoryView{Common: c(), F: newForm(), Shown: true}}}
}

const loggedKey, loggedToken = "7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a2", "pat-na1-7c5d0d3e-28f1-4f1b-9d5c-3a1c7be0f0a3"

// sampleLog is two weeks of an access log: a key in addresses, and a token in a column.
func sampleLog() string {
	var b strings.Builder
	for d := range 14 {
		at := t0.AddDate(0, 0, d-14).Add(-7 * time.Hour)
		for i := range 5 {
			t := at.Add(time.Duration(i) * time.Minute).Format("02/Jan/2006:15:04:05 -0700")
			fmt.Fprintf(&b, "203.0.113.7 - - [%s] \"GET /deals?limit=3&hapikey=%s HTTP/1.1\" 200 12 \"-\" \"airflow/2.9\" \"-\"\n", t, loggedKey)
			fmt.Fprintf(&b, "203.0.113.8 - - [%s] \"POST /contacts HTTP/1.1\" 200 12 \"-\" \"forms/1.0\" \"Bearer %s\"\n", t, loggedToken)
		}
	}
	b.WriteString("this is no line of a log\n")
	return b.String()
}

const logFormat = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_authorization"`

// zipped is a text packed with gzip.
func zipped(text string) *bytes.Buffer {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprint(z, text)
	z.Close()
	return &b
}

// A log is uploaded, packed or not; what was found is looked at, and what was chosen goes into the plan.
func TestInventoryUpload(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		b := w.login()
		w.oldTokens("name,kind,secret\nweb-forms,api_key," + loggedKey + "\n")
		b.get("/migration").want(200, "Read an access log")
		b.get("/migration/inventory").want(200, "Choose the log", "CRM alone, at its own paths")
		b.sendFile("/migration/inventory", "", nil).want(422, "Choose a file.")
		b.sendFile("/migration/inventory", "a.log", strings.NewReader("nothing\nof a log\n")).want(422, "No line of this file could be read")
		b.sendFile("/migration/inventory", "a.log", strings.NewReader("x"), "format", "no variable").want(422, "The format can't be read")
		w.console.cfg.InventoryUnpacked = 1 << 20
		b.get("/migration/inventory").want(200, "at most 512 MB, and 1 MiB unpacked")
		b.sendFile("/migration/inventory", "a.log.gz", zipped(strings.Repeat(sampleLog(), 100)), "format", logFormat).want(422, "Unpacked, the log has more than 1 MiB, which is what the setting inventory-unpacked of this server allows.")
		w.console.cfg.InventoryUnpacked = 8 << 30
		p := b.sendFile("/migration/inventory", "access.log.gz", zipped(sampleLog()), "format", logFormat, "job", "j").want(200, "2 credentials in access.log.gz", "140 calls read", "1 line could not be read", "web-forms",
			"deals.read", "contacts.write", "In the address", "every night", "Take these into the plan").not(loggedKey, loggedToken)
		sealed := checkedIn.FindStringSubmatch(p.body)[1]
		prints := regexp.MustCompile(`name="shown" value="(fp_[0-9a-f]+)"`).FindAllStringSubmatch(p.body, -1)
		if len(prints) != 2 {
			t.Fatalf("groups = %v", prints)
		}
		b.post("/migration/inventory/take", "checked", "x").want(422, "is gone. Choose the file again")
		b.post("/migration/inventory/take", "checked", sealed, "shown", prints[0][1], "shown", prints[1][1]).to("/migration/inventory")
		b.get("/migration").want(200).not("pat-na1")
		b.post("/migration/inventory/take", "checked", sealed, "shown", prints[0][1], "shown", prints[1][1], "take", prints[0][1], "take", prints[1][1]).to("/migration")
		b.get("/migration?view=list").want(200, "2 credentials are in the plan. 1 of them was imported before", "web-forms", "Unknown credential pat-na1")
		if log := w.log.String(); strings.Contains(log, loggedKey) || strings.Contains(log, loggedToken) {
			t.Error("a secret is in the log")
		}

		// What the command line found elsewhere is taken in the same way.
		list := `[{"fingerprint":"fp_00000000000000aa","name":"billing","calls":7,"callers":[{"ip":"203.0.113.9","userAgent":"bill/1","calls":7}],"operations":[],"scopes":["deals.read"],"path":"service_key","reasons":["It reads."],"schedule":{"words":"every night"}},
			{"fingerprint":"","name":"named","calls":1,"operations":[],"callers":[],"scopes":[],"path":"unclear","reasons":[],"schedule":{}}]`
		p = b.sendFile("/migration/inventory", "found.json", strings.NewReader(list)).want(200, "2 credentials in found.json", "billing", "It reads.", "only named in the log")
		b.post("/migration/inventory/take", "checked", checkedIn.FindStringSubmatch(p.body)[1], "rest", "1").to("/migration")
		b.get("/migration?view=list").want(200, "billing").not("named")
		b.sendFile("/migration/inventory", "found.json", strings.NewReader(`[{"fingerprint":3}]`)).want(422, "not what postern migrate inventory")
		b.sendFile("/migration/inventory", "found.json", strings.NewReader(`[{"operations":[`+strings.Repeat("{},", 300_000)+`{}]}]`)).want(422, "The inventory is too big.")

		sam := w.login(w.member("sam@example.com", "Sam Whitlock", postern.RoleViewer))
		sam.get("/migration/inventory").want(403)
		sam.get("/migration").want(200).not("Read an access log")
	})
}

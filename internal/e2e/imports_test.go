package e2e

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "postern.dev/postern"

// mayImport says of each package which others of this module it may import. The
// list is in order: nothing names what stands below it, so imports never go back.
var mayImport = []struct{ pkg, imports string }{
	{".", ""},
	{"api", ""},
	{"docs", ""},
	{"docs/examples/notes", ""},
	{"client", "api"},
	{"internal/callfile", "api"},
	{"guard", "api client"},
	{"internal/testsum", ""},
	{"internal/scan", "."},
	{"internal/outgoing", ""},
	{"internal/limit", ""},
	{"internal/limit/ledger", ". internal/limit"},
	{"internal/limit/redistest", ""},
	{"internal/auditlog", ". api"},
	{"internal/store", ". internal/auditlog"},
	{"internal/store/storetest", ". internal/store"},
	{"internal/catalog", "."},
	{"internal/catalog/catalogtest", ". internal/catalog"},
	{"internal/slowhash", ""},
	{"internal/verify", ". internal/catalog internal/limit internal/slowhash"},
	{"internal/activity", ". internal/store"},
	{"internal/keyring", ". internal/store internal/catalog"},
	{"internal/verifystore", ". internal/store internal/catalog internal/verify internal/keyring"},
	{"internal/advice", ". internal/limit internal/store internal/catalog internal/activity internal/keyring"},
	{"internal/notify", ". internal/store internal/activity internal/keyring"},
	{"internal/rotation", ". internal/store internal/activity internal/keyring"},
	{"internal/tripwire", ". internal/store internal/activity internal/keyring"},
	{"internal/leaks", ". internal/limit internal/verify internal/keyring internal/outgoing"},
	{"internal/auditor", ". internal/auditlog internal/store"},
	{"internal/journal", ". internal/store"},
	{"internal/backup", ". internal/auditlog internal/auditor internal/store internal/journal"},
	{"internal/doctor", ". internal/limit/ledger internal/store internal/journal"},
	{"internal/oauth", ". internal/store"},
	{"internal/webhook", ". internal/store"},
	{"internal/workbench/accesslog", ""},
	{"internal/workbench/company", ". internal/catalog"},
	{"internal/workbench", ". internal/store internal/catalog internal/activity internal/keyring internal/advice internal/slowhash internal/workbench/accesslog"},
	{"internal/workbench/wire", ". api internal/workbench"},
	{"internal/crm", ". internal/store"},
	{"internal/signin", ". internal/store internal/keyring"},
	{"internal/signin/signintest", ""},
	{"internal/door", ". internal/catalog internal/verify"},
	{"internal/door/identity", ". internal/verify"},
	{"internal/door/doortest", ". internal/catalog internal/verify internal/door internal/door/identity"},
	{"internal/httpapi", ". api internal/limit internal/callfile " + rooms + " internal/door internal/door/identity"},
	{"internal/extauthz", ". internal/verify internal/door"},
	{"internal/gateway", ". internal/catalog internal/verify internal/door internal/door/identity"},
	{"internal/console", ". api internal/limit " + rooms + " internal/signin internal/door"},
	{"internal/docsite", "docs"},
	{"internal/cli/screen", ""},
	{"internal/cli", ". api client internal/callfile internal/auditlog internal/scan internal/cli/screen"},
}

// rooms are the packages from store to workbench.
const rooms = "internal/auditlog internal/auditor internal/store internal/catalog internal/verify internal/activity internal/keyring internal/advice internal/notify internal/rotation internal/leaks internal/oauth internal/webhook internal/workbench internal/workbench/accesslog internal/workbench/wire"

// The ones that put the others together may import anything.
var wires = []string{"cmd/postern", "bench", "bench/activity", "bench/scale", "internal/node", "internal/demo", "internal/e2e", "internal/e2e/browser", "internal/e2e/failover", "internal/e2e/power", "internal/e2e/model"}

// only says which packages alone may import something.
var only = []struct{ what, by string }{
	{module + "/internal/crm", "internal/node"},
	{module + "/internal/node", "cmd/postern bench bench/scale internal/demo"},
	{"database/sql", "internal/store internal/store/storetest internal/activity internal/crm internal/e2e/power"},
	{"google.golang.org/grpc", "internal/extauthz"},
	{"github.com/redis/go-redis/v9", "internal/limit/ledger"},
	{"github.com/danielgtaylor/huma/v2", "internal/httpapi"},
	{"math/rand", ""},               // what is random is either secret, and from crypto/rand, or math/rand/v2
	{"unsafe", ". internal/verify"}, // hot paths: no copy of a secret, the kernel's boot clock
}

// Imports point one way: the rules know nothing of the edges.
func TestImports(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for _, fault := range importFaults(within(words[0]), words[1:]) {
			t.Error(fault)
		}
	}
	// Each rule finds what it forbids.
	for _, c := range []struct{ pkg, imports string }{
		{".", module + "/api"},
		{".", "github.com/google/uuid"},
		{"internal/store", module + "/internal/keyring"},
		{"internal/verify", module + "/internal/store"},
		{"internal/cli", module + "/internal/store"},
		{"internal/console", module + "/internal/crm"},
		{"internal/keyring", "database/sql"},
		{"internal/new", module},
	} {
		if len(importFaults(c.pkg, []string{c.imports})) == 0 {
			t.Errorf("%s may import %s, want it forbidden", c.pkg, c.imports)
		}
	}
}

// Nothing in the list names what stands below it.
func TestImportRulesHaveNoWayBack(t *testing.T) {
	for i, r := range mayImport {
		for _, below := range mayImport[i:] {
			if slices.Contains(strings.Fields(r.imports), below.pkg) {
				t.Errorf("%s may import %s, which stands below it", r.pkg, below.pkg)
			}
		}
	}
}

// within is a package's place in the module.
func within(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// importFaults tells what a package imports and may not.
func importFaults(pkg string, imports []string) (faults []string) {
	at := slices.IndexFunc(mayImport, func(r struct{ pkg, imports string }) bool { return r.pkg == pkg })
	if at < 0 && !slices.Contains(wires, pkg) {
		return []string{pkg + ": say in this test what it may import"}
	}
	for _, path := range imports {
		own := path == module || strings.HasPrefix(path, module+"/")
		switch {
		case own && at >= 0 && !slices.Contains(strings.Fields(mayImport[at].imports), within(path)):
			faults = append(faults, pkg+" imports "+within(path))
		case !own && slices.Contains([]string{".", "api", "client", "guard"}, pkg) && strings.Contains(strings.Split(path, "/")[0], "."):
			faults = append(faults, pkg+" imports "+path+", and may only use the standard library")
		}
		for _, o := range only {
			if path == o.what && !slices.Contains(strings.Fields(o.by), pkg) {
				faults = append(faults, pkg+" imports "+path+", which is only for: "+o.by)
			}
		}
	}
	return faults
}

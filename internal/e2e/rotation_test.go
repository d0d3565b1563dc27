package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"postern.dev/postern/api"
)

// TestRotationNamesThoseLeft: of a fleet of 20 callers 3 never change the secret,
// and the view names exactly those, within five seconds of their calls.
func TestRotationNamesThoseLeft(t *testing.T) {
	places(t, func(t *testing.T, p place) { rotateFleet(t, p) })
}

func rotateFleet(t *testing.T, p place) {
	const callers, left, within = 20, 3, 5 * time.Second
	pak := p.setup(t)
	s := start(t, p.data, p.args("serve", "--crm", "--trusted-proxy", "127.0.0.0/8")...)
	admin := s.as(pak)
	ctx := t.Context()
	var k, next api.ChangedKey
	admin.must(t, http.StatusCreated, &k, "POST", "/v1/service-keys", api.NewServiceKey{Name: "fleet", Scopes: []string{"crm.objects.deals.read"}})
	call := func(i int, secret string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Gateway+"/crm/v3/objects/deals", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("User-Agent", agentOf(i))
		// Places share programs: only address and program together name a caller.
		req.Header.Set("X-Forwarded-For", fmt.Sprintf("198.51.100.%d", 10+i%10))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("caller %d: %d", i, res.StatusCode)
		}
	}
	for i := range callers {
		call(i, k.Secret)
	}
	admin.must(t, http.StatusOK, &next, "POST", "/v1/service-keys/"+k.ID+"/rotate", api.Rotate{Grace: "168h"})
	stays := func(i int) bool { return i == 4 || i == 11 || i == 19 }
	var want []string
	for round := range 3 {
		for i := range callers {
			secret := next.Secret
			if stays(i) || round == 0 && i%2 == 0 { // half of them change a round later
				secret = k.Secret
			}
			call(i, secret)
		}
	}
	begun := time.Now()
	for i := range callers {
		if stays(i) {
			want = append(want, agentOf(i)+fmt.Sprintf(" 198.51.100.%d", 10+i%10))
		}
	}
	slices.Sort(want)
	var got []string
	var moved int
	for {
		var v api.Rotation
		admin.must(t, http.StatusOK, &v, "GET", "/v1/service-keys/"+k.ID+"/rotation", nil)
		got, moved = nil, v.Moved
		for _, c := range v.Callers {
			if c.State == "old" || c.State == "both" {
				got = append(got, c.UserAgent+" "+c.IP)
			}
		}
		slices.Sort(got)
		if slices.Equal(got, want) && moved == callers-left && v.Still == left {
			t.Logf("%d of %d callers named %v after the last call", len(got), callers, time.Since(begun).Round(time.Millisecond))
			return
		}
		if time.Since(begun) > within {
			t.Fatalf("after %v the view names %q and %d that moved, want %q and %d: %+v", within, got, moved, want, callers-left, v)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func agentOf(i int) string { return fmt.Sprintf("worker-%c/1.0", 'a'+i/10) }

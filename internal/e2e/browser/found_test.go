package browser

import (
	"strings"
	"testing"

	"postern.dev/postern/internal/keyring"
)

// Whoever found a secret looks, reports and ends without an account, and what
// they see is for everybody; the secret stands in no page and no address.
func TestFinder(t *testing.T) {
	d := office(t)
	made, err := d.node.Keyring.CreateKey(t.Context(), d.as("Ada"), keyring.NewKey{Name: "found-in-a-log"})
	if err != nil {
		t.Fatal(err)
	}
	secret := made.Secret.Reveal()
	b := d.stranger(t)
	look := func(state string) {
		t.Helper()
		b.accessible(state)
		if strings.Contains(b.source(), secret[24:]) || strings.Contains(b.where(), secret[24:]) {
			t.Errorf("%s: the page or its address holds the secret", state)
		}
	}
	b.open("/found")
	b.fill("#f-secret", secret[:len(secret)-2])
	b.follow("=Look")
	b.says("We don’t know this secret")
	look("an unknown secret")
	b.follow("=Look at another one")
	b.follow("=Look")
	b.says("Paste the whole secret.")
	look("no secret")
	b.fill("#f-secret", secret)
	b.fill("#f-url", "https://example.org/"+strings.Repeat("wide", 60))
	b.follow("=Look")
	b.says("This secret works", "Report it", "End it now")
	look("a secret that works")
	b.follow("=Report it")
	b.says("Thank you", "were told")
	look("a reported secret")

	ada := d.in(t, "Ada")
	ada.open("/keys/" + string(made.Key.ID))
	ada.says("A secret of this key was found in the open")
	ada.accessible("a key with a found secret")
	ada.open("/keys")
	ada.says("found in the open")
	ada.accessible("the keys, with a found secret")

	b.follow("=End it now")
	b.says("The secret was ended")
	look("an ended secret")
	ada.open("/keys/" + string(made.Key.ID))
	ada.says("One of its secrets was found.")
}

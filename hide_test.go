package postern_test

import (
	"strings"
	"testing"

	"postern.dev/postern"
)

func TestHideSecrets(t *testing.T) {
	secret := postern.NewSecret("zap7", postern.SecretInvite, "AAAAAAAAAAAAAAAA").Reveal()
	shown := "zap7_inv_AAAAAAAAAAAAAAAA_…"
	for in, want := range map[string]string{
		"":                        "",
		"nightly-deals-sync":      "nightly-deals-sync",
		"a_b_c_d":                 "a_b_c_d",
		secret:                    shown,
		secret[:40]:               shown,
		secret[:26]:               secret[:26],
		secret + "x" + secret:     shown + "_inv_AAAAAAAAAAAAAAAA_…",
		"curl " + secret + " ok":  "curl " + shown + " ok",
		secret + "," + secret:     shown + "," + shown,
		"x_" + secret + "/é":      "x_" + shown + "/é",
		"_inv_AAAAAAAAAAAAAAAA_x": "_inv_AAAAAAAAAAAAAAAA_x", // nothing before it: no secret of ours
	} {
		if got := postern.HideSecrets(in); got != want {
			t.Errorf("HideSecrets(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzHideSecrets(f *testing.F) {
	secret := postern.NewSecret("pst", postern.SecretServiceKey, postern.NewKeyID()).Reveal()
	random := secret[strings.LastIndexByte(secret, '_')+1:]
	f.Add("", "")
	f.Add("agent/1 ", " (")
	f.Add("pst_sk_", "_")
	f.Add("0_a_0000000000000", "0")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got := postern.HideSecrets(before + secret + after); strings.Contains(got, random) && !strings.Contains(before+after, random) {
			t.Errorf("HideSecrets left the random part in %q", got)
		}
	})
}

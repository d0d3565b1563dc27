package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postern.dev/postern/api"
	"postern.dev/postern/client"
	"postern.dev/postern/internal/cli/screen"
)

func (a *app) keysCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a service key and show its secret, once", Args: atMost("NAME"),
		Long: `Makes a service key with the scopes that it needs; you must hold each of them. Its
secret is shown this once: on the standard output, or with --secret-out only in
a new file that nobody else can read.

Without NAME, on a terminal, it asks for the name, the scopes and the life.`,
		Example: examples("postern keys create nightly-deals-sync --scope crm.objects.deals.read",
			"postern keys create ci --scope a.read --scope a.write --expires 90d --network 203.0.113.0/24",
			"postern keys create ci --scope a.read --secret-out ci.secret --json", "postern keys create backup-admin --canary"),
		RunE: a.remote(createKey),
	}
	f := cmd.Flags()
	f.StringSlice("scope", nil, "a scope that the key shall hold; may be repeated")
	keyLimitFlags(f)
	f.Bool("canary", false, "a key that nobody should ever use: leave its secret where a thief would look, and be told")
	f.String("secret-out", "", "write the secret to this new file, and don't show it")
	_ = cmd.RegisterFlagCompletionFunc("scope", a.completeScopes)
	plurals(cmd)
	return cmd
}

// keyLimitFlags are what create and edit have in common.
func keyLimitFlags(f *pflag.FlagSet) {
	f.String("description", "", "what the key is for, and who asked for it")
	f.String("expires", "", "when it ends: a span (90d), a day or a time (2027-01-31), or never")
	f.String("not-before", "", "from when it works: a span, a day or a time")
	f.StringSlice("network", nil, "where it may be used from (203.0.113.7, 2001:db8::/32); may be repeated")
	f.String("rate", "", "the most calls in a time: 100/10s")
	f.String("team", "", "the team that looks after it (a team's id)")
}

// plurals lets people write --scopes and --networks.
func plurals(cmd *cobra.Command) {
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "scopes", "networks":
			name = strings.TrimSuffix(name, "s")
		}
		return pflag.NormalizedName(name)
	})
}

func createKey(c *call) error {
	in, err := c.newKey()
	if err != nil {
		return err
	}
	file, err := newSecretFile(c.str("secret-out"))
	if err != nil {
		return err
	}
	k, err := waiting(c, "Making the key…", func() (api.ChangedKey, error) { return c.createOnce(in) })
	if err != nil {
		file.drop()
		return err
	}
	return c.showMade(k, file, func() {
		c.Printf("Made %s (%s) with %s.\n", theKey(k.ServiceKey), k.ID, screen.Count(len(k.Scopes), "scope"))
	}, func() {
		if k.Canary {
			c.Notes("Nobody should ever use it. Leave its secret where a thief would look; every call with it is told of.")
		} else if len(k.Scopes) == 0 {
			c.Notef("It has no scopes, so its calls are refused. Give it one: postern keys scopes %s --add SCOPE", idOr(k.Name, k.ID))
		}
	})
}

// newKey is what the command line asks for.
func (c *call) newKey() (in api.NewServiceKey, err error) {
	in = api.NewServiceKey{Description: c.str("description"), TeamID: c.str("team"), Scopes: c.list("scope"), Networks: c.list("network"), Canary: c.on("canary")}
	if len(c.args) > 0 {
		in.Name = c.args[0]
	}
	if looksSecret(in.Name) {
		return in, tooMany(c.cmd, in.Name)
	}
	if text := c.str("expires"); text != "" && text != "never" {
		if in.ExpiresAt, err = c.when("expires", text); err != nil {
			return in, err
		}
	}
	if text := c.str("not-before"); text != "" {
		if in.NotBefore, err = c.when("not-before", text); err != nil {
			return in, err
		}
	}
	if text := c.str("rate"); text != "" {
		rate, err := parseRate(text)
		if err != nil {
			return in, err
		}
		in.RateLimit = &rate
	}
	if in.Name == "" {
		if !c.canAsk() {
			return in, missing(c.cmd, "NAME")
		}
		return in, c.askKey(&in)
	}
	return in, nil
}

// createOnce makes a key, even where the answer to the first try is lost. The
// server doesn't show a secret again; nobody has seen that one, so the key gets
// another, and the lost one is void at once.
func (c *call) createOnce(in api.NewServiceKey) (api.ChangedKey, error) {
	k, _, err := once(c.ctx, func(key client.RequestOption) (api.ChangedKey, error) { return c.CreateServiceKey(c.ctx, in, key) })
	if err != nil || !k.SecretShown || k.Secret != "" {
		return k, err
	}
	c.Notef("The server's first answer was lost on the way, and its secret with it. The key gets another one.")
	k, _, err = once(c.ctx, func(key client.RequestOption) (api.ChangedKey, error) {
		return c.RotateServiceKey(c.ctx, k.ID, api.Rotate{Grace: "0s"}, key)
	})
	return k, err
}

// madeKey is the JSON of a key with a new secret.
type madeKey struct {
	api.ChangedKey
	SecretFile string `json:"secretFile,omitempty"`
}

// showMade shows or keeps a new secret. before and after say the rest for people.
func (c *call) showMade(k api.ChangedKey, file *secretFile, before, after func()) error {
	secret, name := k.Secret, ""
	var keepErr error
	if file != nil && secret != "" {
		if keepErr = file.keep(secret); keepErr == nil {
			k.Secret, name = "", file.f.Name() // where it can't be kept it is shown, or it would be lost
		}
	}
	if c.JSON {
		if err := c.WriteJSON(madeKey{k, name}); err != nil {
			return err
		}
		return keepErr
	}
	before()
	c.tellSecret(k.Secret, name)
	if after != nil {
		after()
	}
	return keepErr
}

// tellSecret shows a secret, or says where it went.
func (c *call) tellSecret(secret, file string) {
	switch {
	case file != "":
		c.Text("Its secret is in " + screen.Clean(file) + ", which only you can read. Nobody can show it again.")
	case secret != "":
		c.Printf("\n%s\n\n", c.Paint(screen.Strong, screen.Clean(secret)))
		c.Text("This is its secret, shown this once. Copy it now to where the integration reads it from; nobody can show it again.")
	default:
		c.Text("The server says that its secret was shown before.")
	}
}
